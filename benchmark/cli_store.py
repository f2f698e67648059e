"""``audiometry store backup``, ``restore`` and ``verify``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]

HELP = """Copy the results store, bring a copy back, check that it is whole."""

BACKUP_HELP = """Copy the results store into one new file, while runs and pages go on.

The file can be restored into SQLite and PostgreSQL. The run folders are not in it: copy them too.

\b
Examples:
  audiometry store backup store-2026-11-23.backup
  audiometry store backup /backups/store.backup --store postgresql://me@db.example.org/audiometry
"""

RESTORE_HELP = """Put a backup into a results store of either database: all of it, or nothing changes.

\b
Examples:
  audiometry store restore store-2026-11-23.backup
  audiometry store restore store.backup --store postgresql://me@db.example.org/audiometry
  audiometry store restore store.backup --replace
"""

VERIFY_HELP = """Check that a results store is whole: rows, references, run folders, SHA-256 of their files.

It changes nothing. It exits with 1 where something is wrong.

\b
Examples:
  audiometry store verify
  audiometry store verify --no-folders --json
  audiometry store verify --backup store-2026-11-23.backup
"""

Url = Annotated[str | None, typer.Option("--store", help="Database URL. [default: AUDIOMETRY_STORE, or SQLite]")]
AsJson = Annotated[bool, typer.Option("--json", help="Print what was found as JSON, and nothing else.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    store = typer.Typer(help=HELP, rich_markup_mode=None, no_args_is_help=False)
    store.command("backup", help=BACKUP_HELP)(backup_store)
    store.command("restore", help=RESTORE_HELP)(restore_store)
    store.command("verify", help=VERIFY_HELP)(verify_store)
    app.add_typer(store, name="store")


def backup_store(
    file: Annotated[Path, typer.Argument(help="The file to write; it must not be there yet.")],
    store: Url = None,
    as_json: AsJson = False,
) -> None:
    """Copy the store."""
    from audiometry.benchmark.store import Store
    from audiometry.benchmark.store_backup import backup

    with Store.open(store) as opened:
        counts = backup(opened, file)
    _tell({"file": str(file), "bytes": file.stat().st_size, "rows": counts}, as_json)


def restore_store(
    file: Annotated[Path, typer.Argument(help="A file that `audiometry store backup` has written.")],
    store: Url = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Take everything that is in the store away first.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring a copy back."""
    from audiometry.benchmark.store import Store
    from audiometry.benchmark.store_backup import restore

    with Store.open(store) as opened:
        counts = restore(opened, file, replace=replace)
    _tell({"file": str(file), "rows": counts}, as_json)


def verify_store(
    store: Url = None,
    file: Annotated[Path | None, typer.Option("--backup", help="A backup to check, in place of a store.")] = None,
    folders: Annotated[bool, typer.Option("--folders/--no-folders", help="Look into the run folders too.")] = True,
    as_json: AsJson = False,
) -> int:
    """Check the store, or a backup."""
    from audiometry.benchmark.store_verify import verify

    found = vars(verify(store, folders=folders)) if file is None else _check_file(file)
    _tell(found, as_json)
    return 1 if found["problems"] else 0


def _check_file(file: Path) -> dict[str, object]:
    from audiometry.benchmark.errors import StoreError
    from audiometry.benchmark.store_backup import check_backup

    if not file.is_file():
        raise StoreError(f"{file} does not exist; give a file that audiometry store backup has written")
    try:
        return {"file": str(file), "rows": check_backup(file), "problems": []}
    except StoreError as error:
        return {"file": str(file), "rows": {}, "problems": [str(error)]}


def _tell(document: dict[str, object], as_json: bool) -> None:
    if as_json:
        print(json.dumps(document, indent=1, ensure_ascii=False))
        return
    for name, value in document.items():
        if isinstance(value, dict):
            print(f"{name}: " + ", ".join(f"{count:,} {table}" for table, count in value.items()))
        elif isinstance(value, list):
            print(*([f"{name}:"] + [f"  {line}" for line in value] if value else [f"{name}: none"]), sep="\n")
        else:
            print(f"{name}: {value}")
