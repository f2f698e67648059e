"""The tables of the results store.

::

    runs ──< measurements >── models    a measurement is one model on one task in one run
                │      └───── tasks     a task as it was measured: name, version, settings and data
                └──< results            one row a `Result`

Two numbers may be ranked together when they belong to the same row of `tasks`.

Beside them: `submissions` with their `submission_events`, `tokens` of people and programs, the `audit_log` of what they
did, and `baselines`, names for a model in a run that a gate compares with.

A change here needs a new file in `migrations/versions`; a test compares the two.
"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

__all__ = [
    "AUDIT_LOG",
    "BASELINES",
    "MEASUREMENTS",
    "METADATA",
    "MODELS",
    "RESULTS",
    "RUNS",
    "SUBMISSIONS",
    "SUBMISSION_EVENTS",
    "TASKS",
    "TOKENS",
    "UtcDateTime",
]


class UtcDateTime(sa.TypeDecorator[datetime]):
    """A time with its zone: kept as UTC, given back as UTC (SQLite keeps no zone)."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        """To UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        """From what the database gives."""
        return None if value is None else value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


METADATA = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

RUNS = sa.Table(
    "runs", METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("fingerprint", sa.String(128), nullable=False, index=True),
    sa.Column("created", UtcDateTime, nullable=False, index=True),
    sa.Column("finished", UtcDateTime),
    sa.Column("status", sa.String(32), nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("sample_limit", sa.BigInteger),
    sa.Column("folder", sa.Text, nullable=False),
    sa.Column("document", sa.JSON, nullable=False),
    sa.Column("origin", sa.String(16), nullable=False, server_default="local"),
    sa.Column("evidence", sa.JSON, nullable=False, server_default="{}"),
)  # fmt: skip
"""`origin` is ``local`` (run by whoever owns the store), ``verified`` (a submission, run by a worker) or
``self-reported`` (imported). `evidence` holds the SHA-256 of each file of the folder, by name, as it was put in."""

MODELS = sa.Table(
    "models", METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, index=True),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("control", sa.Boolean, nullable=False),
    sa.Column("settings", sa.JSON, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
)  # fmt: skip

TASKS = sa.Table(
    "tasks", METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, index=True),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("settings", sa.JSON, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
    sa.Column("samples", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
)  # fmt: skip

MEASUREMENTS = sa.Table(
    "measurements", METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("run_id", sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    sa.Column("model_id", sa.ForeignKey("models.id"), nullable=False, index=True),
    sa.Column("task_id", sa.ForeignKey("tasks.id"), nullable=False, index=True),
    sa.Column("seconds", sa.Float(53)),
    sa.Column("audio_seconds", sa.Float(53)),
    sa.Column("rtfx", sa.Float(53)),
    sa.UniqueConstraint("run_id", "model_id", "task_id"),
)  # fmt: skip

RESULTS = sa.Table(
    "results", METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("measurement_id", sa.ForeignKey("measurements.id", ondelete="CASCADE"), nullable=False),
    sa.Column("metric", sa.Text, nullable=False),
    sa.Column("slice", sa.Text, nullable=False),
    sa.Column("value", sa.Float(53)),
    sa.Column("low", sa.Float(53)),
    sa.Column("high", sa.Float(53)),
    sa.Column("n", sa.BigInteger, nullable=False),
    sa.Column("failed", sa.BigInteger, nullable=False),
    sa.Column("empty", sa.BigInteger, nullable=False),
    sa.Column("refused", sa.BigInteger, nullable=False),
    sa.Column("unparsed", sa.BigInteger, nullable=False),
    sa.Column("unit", sa.Text, nullable=False),
    sa.Column("direction", sa.String(16), nullable=False),
    sa.Column("judges", sa.JSON, nullable=False),
    sa.Column("notes", sa.JSON, nullable=False),
    sa.UniqueConstraint("measurement_id", "metric", "slice"),
)  # fmt: skip

SUBMISSIONS = sa.Table(
    "submissions", METADATA,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("submitter", sa.Text, nullable=False),
    sa.Column("suite", sa.Text, nullable=False),
    sa.Column("digest", sa.String(64), index=True),
    sa.Column("manifest", sa.JSON, nullable=False),
    sa.Column("files", sa.JSON, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("created", UtcDateTime, nullable=False),
    sa.Column("updated", UtcDateTime, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("owner", sa.Text),
    sa.Column("lease_until", UtcDateTime),
    sa.Column("progress", sa.Float(53)),
    sa.Column("eta_seconds", sa.Float(53)),
    sa.Column("run_id", sa.ForeignKey("runs.id", ondelete="SET NULL"), unique=True),
    sa.Index("ix_submissions_state_created", "state", "created"),
)  # fmt: skip
"""A checkpoint that somebody submitted: `digest` names its content, `files` is a list of ``{path, size, sha256}``,
`owner` is the worker that holds it until `lease_until`."""

SUBMISSION_EVENTS = sa.Table(
    "submission_events", METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("submission_id", sa.ForeignKey("submissions.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("detail", sa.Text, nullable=False, server_default=""),
)  # fmt: skip

TOKENS = sa.Table(
    "tokens", METADATA,
    sa.Column("id", sa.String(16), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("created", UtcDateTime, nullable=False),
    sa.Column("expires", UtcDateTime),
    sa.Column("revoked", UtcDateTime),
    sa.Column("last_used", UtcDateTime),
)  # fmt: skip
"""Keys to the HTTP interface: `id` is the public part, `digest` the SHA-256 of the secret one."""

AUDIT_LOG = sa.Table(
    "audit_log", METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", UtcDateTime, nullable=False, index=True),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("detail", sa.JSON, nullable=False),
)  # fmt: skip

BASELINES = sa.Table(
    "baselines", METADATA,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("run_id", sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("created", UtcDateTime, nullable=False),
)  # fmt: skip
