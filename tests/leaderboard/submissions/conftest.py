"""The PostgreSQL server of the store's tests, here as well."""

from __future__ import annotations

import importlib.util
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "benchmark" / "conftest.py"

_spec = importlib.util.spec_from_file_location("postgres_fixtures", SOURCE)
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)

postgres, postgres_url, _number = _module.postgres, _module.postgres_url, _module._number
