"""British to American spellings, as Whisper's English normaliser has them.

The table (1,739 entries, two of them odd: they are kept, because results must be comparable) is read from the
package whisper-normalizer, which carries OpenAI's copy.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files

from audiometry.benchmark.errors import UserError

__all__ = ["american_spellings"]

_TABLE = "normalizers/english.json"
_DIGEST = "6607f948be9824d2e1b2fa2223cd94c06c45afa4e05ea0e3d5e1f2bdffde2465"


@functools.cache
def american_spellings() -> Mapping[str, str]:
    """British spelling → American spelling, both in lower case.

    >>> american_spellings()["colour"]
    'color'

    Raises UserError if the installed table is another one than results so far were made with.
    """
    data = files("whisper_normalizer").joinpath(_TABLE).read_bytes()
    if hashlib.sha256(data).hexdigest() != _DIGEST:
        raise UserError(
            "the spelling table of the installed whisper-normalizer is not that of whisper-english-1; "
            "install it with: pip install 'whisper-normalizer==0.1.15'"
        )
    table: dict[str, str] = json.loads(data)
    return table
