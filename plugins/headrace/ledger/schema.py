"""The ledger's tables; orchestration interpreter.

SQLAlchemy Core, not mapped classes: results are written and listed by the thousand. Times are UTC and aware.
A partition key of ``""`` stands for a dataset that was checked as a whole.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
)
from sqlalchemy.dialects.postgresql import JSONB

from headrace.quality.verdict import SEVERITY_RANK

VERSION_TABLE = "ledger_version"
HEAD = "0005"
"""The newest migration; kept in step with ``migrations/versions/`` by a test."""


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime, kept as UTC also where the database knows no time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone: the ledger keeps aware datetimes")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Json = JSON().with_variant(JSONB(), "postgresql")
Id = BigInteger().with_variant(Integer(), "sqlite")
Name = String(500)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _id() -> Column[Any]:
    return Column("id", Id, primary_key=True, autoincrement=True)


# What is known of each dataset, and which is made from which: from dbt's manifest, the suites and the pipelines.
dataset = Table(
    "dataset",
    metadata,
    Column("name", Name, primary_key=True),
    Column("kind", String(50), nullable=False),  # source, model, seed, snapshot, examples, trained_model, other
    Column("relation", Name),  # schema.table in the warehouse
    Column("owner", Name),
    Column("tier", String(50)),
    Column("runbook", Text),
    Column("description", Text),
    Column("docs", Text),  # dbt's unique_id, for the link to dbt docs
    Column("project", Name, nullable=False),  # the first, by name, of those that told us of it
)
dataset_edge = Table(
    "dataset_edge",
    metadata,
    Column("upstream", Name, primary_key=True),
    Column("downstream", Name, primary_key=True),
    Column("project", Name, primary_key=True),  # two projects may tell of one edge: read it with DISTINCT or UNION
    Index(None, "downstream"),
)
lineage_source = Table(
    "lineage_source",
    metadata,
    Column("project", Name, primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("datasets", Json, nullable=False),  # what it said of each; `dataset` is what all say together
)

# A check, whatever number of times it ran. `digest` is of dataset, tool, check, column and check_id.
check = Table(
    "check_definition",
    metadata,
    _id(),
    Column("digest", String(64), nullable=False, unique=True),
    Column("dataset", Name, nullable=False, index=True),
    Column("tool", String(20), nullable=False),
    Column("name", Name, nullable=False),
    Column("column", Name),
    Column("tool_id", Name),
    Column("owner", Name),
    Column("tier", String(50)),
    Column("runbook", Text),
    Column("meta", Json, nullable=False),
)

# One try of one task instance: what a result is recorded by, and idempotent per.
attempt = Table(
    "attempt",
    metadata,
    _id(),
    Column("dag_id", String(250), nullable=False),
    Column("run_id", String(250), nullable=False),
    Column("task_id", String(250), nullable=False),
    Column("map_index", Integer, nullable=False),
    Column("try_number", Integer, nullable=False),
    Column("partition_key", String(100), nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
    Column("instance", String(100)),  # of Airflow, unique for each try; None: not known
    UniqueConstraint("dag_id", "run_id", "task_id", "map_index", "try_number"),
)

check_result = Table(
    "check_result",
    metadata,
    _id(),
    Column("attempt_id", Id, ForeignKey("attempt.id"), nullable=False),
    Column("check_id", Id, ForeignKey("check_definition.id"), nullable=False),
    Column("partition_key", String(100), nullable=False),
    Column("severity", String(20), nullable=False),
    Column("status", String(20), nullable=False),
    Column("message", Text, nullable=False),
    Column("observed", Json),
    Column("expected", Json),
    Column("failed_rows", BigInteger),
    Column("total_rows", BigInteger),
    Column("quarantined_rows", BigInteger, nullable=False),
    Column("excused", Text),
    Column("sample", Json, nullable=False),  # at most 20 rows
    Column("recorded_at", UtcDateTime, nullable=False),
    UniqueConstraint("attempt_id", "check_id", "partition_key"),
    Index(None, "check_id", "partition_key", "id"),
)

# The newest result of each check on each partition: verdicts and incidents are decided from these.
check_state = Table(
    "check_state",
    metadata,
    Column("check_id", Id, ForeignKey("check_definition.id"), primary_key=True),
    Column("partition_key", String(100), primary_key=True),
    Column("dataset", Name, nullable=False),
    Column("result_id", Id, ForeignKey("check_result.id"), nullable=False),
    Column("severity", String(20), nullable=False),
    Column("status", String(20), nullable=False),
    Column("excused", Text),
    Column("failed_rows", BigInteger),
    Column("quarantined_rows", BigInteger, nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
    Column("stale", Boolean, nullable=False, server_default=false()),  # other data was landed since
    Index(None, "dataset", "partition_key"),
    Index(None, "result_id"),
)

verdict = Table(
    "verdict",
    metadata,
    _id(),
    Column("dataset", Name, nullable=False),
    Column("partition_key", String(100), nullable=False),
    Column("decision", String(10), nullable=False),  # pass, warn, block
    Column("checked", Integer, nullable=False),
    Column("causes", Json, nullable=False),  # [{check_id, result_id, severity, status, message}], worst first
    Column("why", String(20), nullable=False),  # checked, waived, released, held
    Column("actor", Name),  # the person, where a person decided
    Column("attempt_id", Id, ForeignKey("attempt.id")),
    Column("decided_at", UtcDateTime, nullable=False),
    Index(None, "dataset", "partition_key", "id"),
    Index(None, "partition_key"),
)

_COUNTED = ("state", "dag_id", "caused_by", "snoozed_until")
_FILTERED = ("caused_by", "snoozed_until", "severity", "dag_id", "dataset", "owner", "tool", "assignee")


def _index_of(dialect: str, name: str, *columns: str) -> Index:
    """Return an index, by state first, that one database gets; ``info`` says so to who compares tables with these."""
    index = Index(name, "state", *columns, info={"dialect": dialect})
    index.ddl_if(dialect=dialect)
    return index


def _trigrams_of(name: str, column: str) -> Index:
    """Return Postgres's index for a search within a text, which only a server with ``pg_trgm`` gets."""
    operators = {column: "gin_trgm_ops"}
    index = Index(name, column, postgresql_using="gin", postgresql_ops=operators, info={"dialect": "postgresql"})
    index.ddl_if(dialect="postgresql")
    return index


# One for each check that ever failed; it re-opens.
incident = Table(
    "incident",
    metadata,
    _id(),
    Column("check_id", Id, ForeignKey("check_definition.id"), nullable=False, unique=True),
    Column("dataset", Name, nullable=False),
    Column("tool", String(20), nullable=False),  # the check's; here so that the inbox filters without a join
    Column("dag_id", String(250), nullable=False),  # that recorded the newest failure: who may read it
    Column("search", Text, nullable=False),  # search_text.build_search_text, written whenever the title is
    Column("state", String(20), nullable=False),  # open, acknowledged, snoozed, resolved
    Column("severity", String(20), nullable=False),
    Column("severity_rank", Integer, nullable=False),  # 0 critical, 1 warning, 2 info: to sort by
    Column("title", Text, nullable=False),  # the newest failure's sentence
    Column("owner", Name),
    Column("tier", String(50)),
    Column("runbook", Text),
    Column("assignee", Name),
    Column("caused_by", Id, ForeignKey("incident.id")),  # upstream incident of which this is a consequence
    Column("opened_at", UtcDateTime, nullable=False),  # of this opening
    Column("first_seen", UtcDateTime, nullable=False),
    Column("last_seen", UtcDateTime, nullable=False),
    Column("occurrences", Integer, nullable=False),  # failing results, each try of each run and partition
    Column("failing_partitions", Integer, nullable=False),
    Column("last_result_id", Id, ForeignKey("check_result.id")),  # newest failure; None: its try took it back
    Column("snoozed_until", UtcDateTime),
    Column("resolved_at", UtcDateTime),
    Column("resolution", String(20)),  # passed, released, waived, retired, manual
    Column("resolved_by", Name),
    Column("resolve_reason", Text),
    Column("reopened", Integer, nullable=False),  # times
    Column("flapping", Boolean, nullable=False),
    Column("passes_in_row", Integer, nullable=False),  # while flapping, towards the auto-resolution
    Column("told", Boolean, nullable=False),  # people were told of this opening, so they are told of its end
    # The inbox is read in order from one of these. SQLite keeps no statistics and reads rows one by one, so that it is
    # given all that is filtered by; Postgres limits an index's entry to 2.7 kB, and does well without. Alembic's
    # autogenerate knows no such difference: the migration says it by hand.
    _index_of("postgresql", "ix_incident_seen", "severity_rank", "last_seen", "id"),
    _index_of("postgresql", "ix_incident_opened", "severity_rank", "opened_at", "id"),
    _index_of("sqlite", "ix_incident_seen_filtered", "severity_rank", "last_seen", "id", *_FILTERED),
    _index_of("sqlite", "ix_incident_opened_filtered", "severity_rank", "opened_at", "id", *_FILTERED),
    _index_of("sqlite", "ix_incident_searched", *_FILTERED, "search"),
    _trigrams_of("ix_incident_search_trigrams", "search"),
    # Each value of a filter is counted from one of these alone.
    Index("ix_incident_dataset_counted", "dataset", *_COUNTED),
    Index("ix_incident_owner_counted", "owner", *_COUNTED),
    Index("ix_incident_tool_counted", "tool", *_COUNTED),
    Index("ix_incident_assignee_counted", "assignee", *_COUNTED),
    Index("ix_incident_dag_id_counted", "dag_id", "state", "caused_by", "snoozed_until"),
    Index(None, "caused_by"),
    Index(None, "last_result_id"),
)
incident_partition = Table(
    "incident_partition",
    metadata,
    Column("incident_id", Id, ForeignKey("incident.id"), primary_key=True),
    Column("partition_key", String(100), primary_key=True),
    Column("state", String(20), nullable=False),  # failing, quarantined, passed, released, waived, retired
    Column("failures", Integer, nullable=False),
    Column("first_seen", UtcDateTime, nullable=False),
    Column("last_seen", UtcDateTime, nullable=False),
    Column("result_id", Id, ForeignKey("check_result.id")),  # newest failure; None: its try took it back
    Column("caused_by", Id, ForeignKey("incident.id")),
    Index(None, "partition_key", "state", "incident_id"),
    Index(None, "result_id"),
)
# The timeline and the audit trail; never updated.
incident_event = Table(
    "incident_event",
    metadata,
    _id(),
    Column("incident_id", Id, ForeignKey("incident.id"), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("kind", String(30), nullable=False),
    Column("actor", Name, nullable=False),  # a user's name, or "headrace"
    Column("partition_key", String(100)),
    Column("detail", Json, nullable=False),
    Index(None, "incident_id", "id"),
)

# A named person's word that a failure on a partition does not count; until other data is landed.
waiver = Table(
    "waiver",
    metadata,
    _id(),
    Column("check_id", Id, ForeignKey("check_definition.id"), nullable=False),
    Column("partition_key", String(100), nullable=False),
    Column("actor", Name, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),  # superseded by a landing, or revoked
    Column("ended_why", Text),
    Column("failed_rows", BigInteger),  # that it was given for: more of them end it; None: for any number
    Index(None, "check_id", "partition_key"),
)

# What was set aside, a row for each dataset, partition, run and check; the rows themselves lie in the warehouse.
quarantine = Table(
    "quarantine",
    metadata,
    _id(),
    Column("dataset", Name, nullable=False),
    Column("relation", Name, nullable=False),  # the table the rows were taken from
    Column("partition_key", String(100), nullable=False),
    Column("check_id", Id, ForeignKey("check_definition.id"), nullable=False),
    Column("attempt_id", Id, ForeignKey("attempt.id"), nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("total_rows", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("state", String(20), nullable=False),  # held, releasing, released, superseded
    Column("at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("actor", Name),  # who released
    Column("actor_reason", Text),
    Column("release_whole", Boolean, nullable=False),  # releasing: all of it, not only the rows marked so
    Index(None, "dataset", "partition_key"),
    Index(None, "check_id", "partition_key"),
    Index(None, "state", "id"),
)
# The first rows of each, for people; `row_id` is the row's id in the warehouse's quarantine table.
quarantined_row = Table(
    "quarantined_row",
    metadata,
    Column("quarantine_id", Id, ForeignKey("quarantine.id"), primary_key=True),
    Column("row_id", String(64), primary_key=True),
    Column("row", Json, nullable=False),
    Column("state", String(20), nullable=False),  # held, releasing, released, superseded
)

landing = Table(
    "landing",
    metadata,
    Column("dataset", Name, primary_key=True),
    Column("partition_key", String(100), primary_key=True),
    Column("sha256", String(64), nullable=False),  # of the landed file
    Column("rows", BigInteger, nullable=False),
    Column("landed_at", UtcDateTime, nullable=False),
)

trained_model = Table(
    "trained_model",
    metadata,
    _id(),
    Column("pipeline", Name, nullable=False),
    Column("dag_id", String(250), nullable=False),
    Column("run_id", String(250), nullable=False),
    Column("partition_key", String(100), nullable=False),
    Column("blessed", Boolean),
    Column("pushed_to", Text),
    Column("at", UtcDateTime, nullable=False),
    Column("blessings", Json),  # node to its word; `blessed` is what all say together
    UniqueConstraint("pipeline", "dag_id", "run_id"),
)
trained_on = Table(
    "trained_on",
    metadata,
    Column("model_id", Id, ForeignKey("trained_model.id"), primary_key=True),
    Column("dataset", Name, primary_key=True),
    Column("partition_key", String(100), primary_key=True),
    Column("fingerprint", String(100)),  # of the content that was read; None: recorded before it was known
    Column("version_id", Id, ForeignKey("data_version.id")),
    Index(None, "dataset", "partition_key"),
    Index(None, "version_id", "model_id"),
)

# Lineage at partition grain: a run read some data versions and wrote others (docs/adr/0018).
# A data version is a partition of a dataset with the content that it had; landing it anew makes another.
data_version = Table(
    "data_version",
    metadata,
    _id(),
    Column("dataset", Name, nullable=False),
    Column("partition_key", String(100), nullable=False),
    Column("fingerprint", String(100), nullable=False),  # of the content: see ledger/runs.py
    # file, source, model, seed, snapshot, features, artifact, model_version, predictions
    Column("kind", String(50), nullable=False),
    Column("rows", BigInteger),
    Column("uri", Text),
    Column("first_seen", UtcDateTime, nullable=False),
    Column("last_seen", UtcDateTime, nullable=False),
    Column("detail", Json, nullable=False),
    UniqueConstraint("dataset", "partition_key", "fingerprint"),
    Index(None, "dataset", "partition_key", "last_seen"),
)
lineage_run = Table(
    "lineage_run",
    metadata,
    _id(),
    Column("attempt_id", Id, ForeignKey("attempt.id")),  # None: no task of Airflow's
    Column("job", Name, nullable=False),  # land, dbt's unique_id, "<pipeline>.<node>", "deploy:<model>"
    Column("kind", String(20), nullable=False),  # land, dbt, gate, publish, tfx, deploy, score
    Column("code", String(64)),  # SHA-256 of what ran: the compiled SQL, the component's code, the pipeline's IR
    Column("execution_id", BigInteger),  # MLMD's
    Column("state", String(20), nullable=False),
    Column("dag_id", String(250), nullable=False),
    Column("run_id", String(250), nullable=False),
    Column("partition_key", String(100), nullable=False),
    Column("started", UtcDateTime),
    Column("ended", UtcDateTime),
    Column("detail", Json, nullable=False),
    UniqueConstraint("dag_id", "run_id", "job", "partition_key"),
    Index(None, "attempt_id"),
    Index(None, "job", "ended"),
)
lineage_io = Table(
    "lineage_io",
    metadata,
    Column("run_id", Id, ForeignKey("lineage_run.id"), primary_key=True),
    Column("version_id", Id, ForeignKey("data_version.id"), primary_key=True),
    Column("role", SmallInteger, primary_key=True),  # 0: read, 1: written
    Index(None, "version_id", "role", "run_id"),
)
# Columns, and which is made from which, as the compiled SQL says; `column_source` says of which SQL that is.
dataset_column = Table(
    "dataset_column",
    metadata,
    Column("dataset", Name, primary_key=True),
    Column("name", Name, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("type", String(100)),
)
column_edge = Table(
    "column_edge",
    metadata,
    Column("dataset", Name, primary_key=True),
    Column("name", Name, primary_key=True),
    Column("from_dataset", Name, primary_key=True),
    Column("from_name", Name, primary_key=True),
    Column("how", String(10), nullable=False),  # direct; indirect: it decides which rows there are (name is "")
    Index(None, "from_dataset", "from_name"),
)
column_source = Table(
    "column_source",
    metadata,
    Column("dataset", Name, primary_key=True),
    Column("checksum", String(64), nullable=False),
    Column("problem", Text),  # why its columns could not be traced
)

# The registry: what was pushed, under which names it answers, and who decided so (docs/adr/0019).
model_version = Table(
    "model_version",
    metadata,
    _id(),
    Column("model", Name, nullable=False),
    Column("number", Integer, nullable=False),  # 1, 2, 3 … of each model
    Column("trained_model_id", Id, ForeignKey("trained_model.id"), nullable=False),
    Column("version_id", Id, ForeignKey("data_version.id")),
    Column("digest", String(64), nullable=False),  # of the SavedModel's files: registry/trees.py
    Column("state", String(20), nullable=False),  # candidate, refused, blocked, deleted
    Column("state_why", Text),
    Column("ir", String(64)),  # SHA-256 of the compiled pipeline
    Column("commit", String(64)),  # of the sources, where they lie in a git checkout
    Column("dirty", Boolean),  # the checkout had other changes
    Column("lock", String(64)),  # SHA-256 of the TFX interpreter's lock
    Column("code", Json, nullable=False),  # {file: sha256}
    Column("signature", Json, nullable=False),
    Column("features", Json, nullable=False),  # [names] that the model really uses
    Column("schema_digest", String(64)),
    Column("metrics", Json, nullable=False),  # as contracts.node_run.NodeOutcome.metrics
    Column("verdicts", Json, nullable=False),  # [{dataset, partition_key, fingerprint, verdict}] when it was registered
    Column("baseline", Json),  # {version, metrics}
    Column("pushed_version", String(50), nullable=False),  # the name of the folder that the Pusher wrote
    Column("at", UtcDateTime, nullable=False),
    UniqueConstraint("model", "number"),
    UniqueConstraint("trained_model_id", "digest"),  # a run that is cleared and trains anew makes another version
    Index(None, "model", "at"),
)
model_alias = Table(
    "model_alias",
    metadata,
    Column("model", Name, primary_key=True),
    Column("alias", String(50), primary_key=True),  # champion, previous, challenger
    Column("model_version_id", Id, ForeignKey("model_version.id"), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", Name, nullable=False),
    Column("reason", Text, nullable=False),
    Index(None, "model_version_id"),
)
# Every change of what answers, and its audit trail.
deployment = Table(
    "deployment",
    metadata,
    _id(),
    Column("model", Name, nullable=False),
    Column("generation", Integer, nullable=False),  # rises with each; servers follow the highest
    Column("action", String(20), nullable=False),  # promote, rollback, challenger, unblock, undo, remove
    Column("model_version_id", Id, ForeignKey("model_version.id")),
    Column("from_version_id", Id, ForeignKey("model_version.id")),
    Column("actor", Name, nullable=False),
    Column("reason", Text, nullable=False),
    Column("approval", Json),  # {by, at, reason} where a person approved
    Column("incident_id", Id, ForeignKey("incident.id")),
    Column("state", String(20), nullable=False),  # pending, live, failed, superseded
    Column("why", Text),
    Column("at", UtcDateTime, nullable=False),
    Column("live_at", UtcDateTime),
    UniqueConstraint("model", "generation"),
    Index(None, "model_version_id"),
)
# A version that was trained on a partition which was found bad afterwards.
model_taint = Table(
    "model_taint",
    metadata,
    Column("model_version_id", Id, ForeignKey("model_version.id"), primary_key=True),
    Column("dataset", Name, primary_key=True),
    Column("partition_key", String(100), primary_key=True),
    Column("actor", Name, nullable=False),
    Column("reason", Text, nullable=False),
    Column("check_id", Id, ForeignKey("check_definition.id")),
    Column("at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Index(None, "dataset", "partition_key"),
)

# Distributions that TFDV measured, bounded, for the charts.
feature_statistics = Table(
    "feature_statistics",
    metadata,
    Column("dataset", Name, primary_key=True),
    Column("partition_key", String(100), primary_key=True),
    Column("split", String(100), primary_key=True),
    Column("feature", Name, primary_key=True),
    Column("statistics", Json, nullable=False),  # see tfx_worker.report_statistics
    Column("attempt_id", Id, ForeignKey("attempt.id"), nullable=False),
)

# The outbox: written with the event that it tells of, delivered by the notifier.
notification = Table(
    "notification",
    metadata,
    _id(),
    Column("incident_id", Id, ForeignKey("incident.id"), nullable=False),
    Column("event_id", Id, ForeignKey("incident_event.id"), nullable=False),
    Column("change", String(20), nullable=False),  # opened, escalated, reopened, resolved
    Column("route", Name),  # None: not routed yet
    Column("payload", Json, nullable=False),
    Column("state", String(20), nullable=False),  # pending, held, delivered, dead; routed: became one for each route
    Column("attempts", Integer, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("lease_until", UtcDateTime),
    Column("lease_owner", Name),
    Column("last_error", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("delivered_at", UtcDateTime),
    UniqueConstraint("event_id", "route"),
    Index(None, "state", "due_at"),
    Index(None, "incident_id"),
)
# When each part of Headrace that must be alive was last seen; for `headrace doctor` and the inbox's own health line.
heartbeat = Table(
    "heartbeat",
    metadata,
    Column("component", String(100), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("detail", Json, nullable=False),
)
severity_number = {severity.value: rank for severity, rank in SEVERITY_RANK.items()}
