"""What the files of a run held when it was put in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

__all__ = ["downgrade", "upgrade"]

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("runs", sa.Column("evidence", sa.JSON, nullable=False, server_default="{}"))


def downgrade() -> None:
    op.drop_column("runs", "evidence")
