from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiometry.benchmark.seeds import derangement, derive_seed, hash_order

ids = st.lists(st.text(max_size=6), unique=True, min_size=2, max_size=40)


@given(ids, st.integers(0, 2**32))
def test_a_derangement_moves_every_sample_once(names: list[str], seed: int) -> None:
    partner = derangement(names, seed)
    assert sorted(partner) == list(range(len(names)))
    assert all(here != there for here, there in enumerate(partner))
    assert partner == derangement(names, seed)


def test_a_derangement_needs_two() -> None:
    with pytest.raises(ValueError, match="at least two"):
        derangement(["a"], 0)


@given(ids, st.randoms())
def test_the_hash_order_depends_on_names_only(names: list[str], random: object) -> None:
    shuffled = list(names)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert [names[i] for i in hash_order(names)] == [shuffled[i] for i in hash_order(shuffled)]


def test_seeds_are_fixed_for_ever() -> None:
    assert derive_seed(0, "wer", "a") == 3907100581891220975
    assert derive_seed(0, "we", "ra") != derive_seed(0, "wer", "a")
    assert 0 <= derive_seed(123, "x") < 2**63
