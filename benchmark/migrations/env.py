"""What Alembic runs to migrate a results store: the connection is the caller's, and so is its transaction."""

from __future__ import annotations

from alembic import context

from audiometry.benchmark.schema import METADATA

__all__ = ["migrate"]


def migrate() -> None:
    """Run the migrations that Alembic was asked for, on the connection that `Store.open` put into its configuration."""
    context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
    context.run_migrations()


if __name__ == "env_py":  # the name under which Alembic loads this file; a plain import changes nothing
    migrate()
