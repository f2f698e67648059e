"""What the OpenAPI document allows, and what it does not, sent by a generator with every kind of token and none.

No answer may be a fault of the server, have a status that is not documented, or another form than is promised; no
method may be let through that is not documented, and nothing that needs a token without one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.generation.modes import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance
from starlette.testclient import TestClient

from audiometry.leaderboard.api.tokens import MAY, Deed

EXAMPLES = 6
"""For each operation, token and mode."""

PATIENCE = 120
"""Seconds: the first submission loads every adapter, which takes long where much else runs."""

RUN = "20261122-155501-ab12cd34"

DEEDS: dict[str, Deed] = {
    "POST /api/v1/submissions": "submit",
    "GET /api/v1/tokens": "list tokens",
    "POST /api/v1/tokens": "manage tokens",
    "DELETE /api/v1/tokens/{token}": "manage tokens",
    "GET /api/v1/audit": "read the audit log",
}
"""What is not only reading."""

KNOWN = {"run": RUN, "a": RUN, "b": RUN, "a_model": "poor", "b_model": "good:beam=5", "task": "wer-tones"}
"""Values that name something which is there; any other text names nothing."""


@schemathesis.serializer("application/zip", "application/x-tar", "application/gzip")
def as_it_is(context: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


def ask_all(operation: Any, headers: dict[str, str]) -> Counter[int]:
    """Ask one operation with what its document allows, and with what it does not; how often each status came."""
    statuses: Counter[int] = Counter()
    limits = settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )

    def ask(case: Any, known: bool) -> None:
        if known:
            for part in (case.path_parameters, case.query):
                part.update({name: value for name, value in KNOWN.items() if name in part})
        answer = case.call(headers=headers, timeout=PATIENCE)
        statuses[answer.status_code] += 1
        case.validate_response(answer, headers=headers, excluded_checks=[positive_data_acceptance])

    modes = [GenerationMode.POSITIVE]
    if operation.query or operation.path_parameters or operation.body:
        modes.append(GenerationMode.NEGATIVE)  # something can be wrong
    for mode in modes:
        limits(given(case=operation.as_strategy(generation_mode=mode), known=st.booleans())(ask))()
    return statuses


@pytest.mark.slow
@pytest.mark.parametrize(
    ("role", "store_url"),
    [
        ("none", "sqlite"), ("viewer", "postgresql"), ("submitter", "sqlite"), ("maintainer", "postgresql"),
        ("auditor", "sqlite"),
    ],
    indirect=["store_url"],
)  # fmt: skip
def test_every_answer_is_documented(
    client: Callable[..., TestClient], keys: dict[str, str], usual_run: Path, role: str
) -> None:
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", client(None).app)
    headers = {} if role == "none" else {"Authorization": f"Bearer {keys[role]}"}
    seen = {}
    for found in schema.get_all_operations():
        operation = found.ok()
        seen[operation.label] = ask_all(operation, headers)
    assert len(seen) == 14
    assert not {status for statuses in seen.values() for status in statuses if status >= 500}
    for label, statuses in seen.items():
        open_to_all = label == "GET /api/v1/health"
        allowed = open_to_all or any(fits(label, deed) and role in MAY[deed] for deed in MAY)
        assert bool(statuses[403]) == (not allowed and role != "none"), label
        assert bool(statuses[401]) or open_to_all or role != "none", label
        if allowed:
            assert statuses[200] + statuses[201] + statuses[404] + statuses[422] > 0, label


def fits(label: str, deed: Deed) -> bool:
    """Whether an operation is such a deed."""
    return DEEDS.get(label, "read") == deed
