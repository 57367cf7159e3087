"""The ledger as it began.

Revision ID: 0001
Revises: nothing
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
NAME = sa.String(length=500)
TIME = sa.DateTime(timezone=True)
FILTERED = ["caused_by", "snoozed_until", "severity", "dag_id", "dataset", "owner", "tool", "assignee"]
revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "attempt",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("dag_id", sa.String(length=250), nullable=False),
        sa.Column("run_id", sa.String(length=250), nullable=False),
        sa.Column("task_id", sa.String(length=250), nullable=False),
        sa.Column("map_index", sa.Integer(), nullable=False),
        sa.Column("try_number", sa.Integer(), nullable=False),
        sa.Column("partition_key", sa.String(length=100), nullable=False),
        sa.Column("recorded_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_attempt"),
        sa.UniqueConstraint(
            "dag_id",
            "run_id",
            "task_id",
            "map_index",
            "try_number",
            name="uq_attempt_dag_id_run_id_task_id_map_index_try_number",
        ),
    )
    op.create_table(
        "check_definition",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("dataset", NAME, nullable=False),
        sa.Column("tool", sa.String(length=20), nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("column", NAME, nullable=True),
        sa.Column("tool_id", NAME, nullable=True),
        sa.Column("owner", NAME, nullable=True),
        sa.Column("tier", sa.String(length=50), nullable=True),
        sa.Column("runbook", sa.Text(), nullable=True),
        sa.Column("meta", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_check_definition"),
        sa.UniqueConstraint("digest", name="uq_check_definition_digest"),
    )
    op.create_index("ix_check_definition_dataset", "check_definition", ["dataset"], unique=False)
    op.create_table(
        "dataset",
        sa.Column("name", NAME, nullable=False),
        sa.Column("kind", sa.String(length=50), nullable=False),
        sa.Column("relation", NAME, nullable=True),
        sa.Column("owner", NAME, nullable=True),
        sa.Column("tier", sa.String(length=50), nullable=True),
        sa.Column("runbook", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("docs", sa.Text(), nullable=True),
        sa.Column("project", NAME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_dataset"),
    )
    op.create_table(
        "dataset_edge",
        sa.Column("upstream", NAME, nullable=False),
        sa.Column("downstream", NAME, nullable=False),
        sa.Column("project", NAME, nullable=False),
        sa.PrimaryKeyConstraint("upstream", "downstream", "project", name="pk_dataset_edge"),
    )
    op.create_index("ix_dataset_edge_downstream", "dataset_edge", ["downstream"], unique=False)
    op.create_table(
        "heartbeat",
        sa.Column("component", sa.String(length=100), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("detail", JSON, nullable=False),
        sa.PrimaryKeyConstraint("component", name="pk_heartbeat"),
    )
    op.create_table(
        "landing",
        sa.Column("dataset", NAME, nullable=False),
        sa.Column("partition_key", sa.String(length=100), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("landed_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("dataset", "partition_key", name="pk_landing"),
    )
    op.create_table(
        "lineage_source",
        sa.Column("project", NAME, nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("datasets", JSON, nullable=False),
        sa.PrimaryKeyConstraint("project", name="pk_lineage_source"),
    )
    op.create_table(
        "trained_model",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("pipeline", NAME, nullable=False),
        sa.Column("dag_id", sa.String(length=250), nullable=False),
        sa.Column("run_id", sa.String(length=250), nullable=False),
        sa.Column("partition_key", sa.String(length=100), nullable=False),
        sa.Column("blessed", sa.Boolean(), nullable=True),
        sa.Column("pushed_to", sa.Text(), nullable=True),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_trained_model"),
        sa.UniqueConstraint("pipeline", "dag_id", "run_id", name="uq_trained_model_pipeline_dag_id_run_id"),
    )
    op.create_table(
        "check_result",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("attempt_id", ID, nullable=False),
        sa.Column("check_id", ID, nullable=False),
        sa.Column("partition_key", sa.String(length=100), nullable=False),
        sa.Column("severity", sa.String(length=20), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("observed", JSON, nullable=True),
        sa.Column("expected", JSON, nullable=True),
        sa.Column("failed_rows", sa.BigInteger(), nullable=True),
        sa.Column("total_rows", sa.BigInteger(), nullable=True),
        sa.Column("quarantined_rows", sa.BigInteger(), nullable=False),
        sa.Column("excused", sa.Text(), nullable=True),
        sa.Column("sample", JSON, nullable=False),
        sa.Column("recorded_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"], name="fk_check_result_attempt_id"),
        sa.ForeignKeyConstraint(["check_id"], ["check_definition.id"], name="fk_check_result_check_id"),
        sa.PrimaryKeyConstraint("id", name="pk_check_result"),
        sa.UniqueConstraint(
            "attempt_id", "check_id", "partition_key", name="uq_check_result_attempt_id_check_id_partition_key"
        ),
    )
    op.create_index(
        "ix_check_result_check_id_partition_key_id", "check_result", ["check_id", "partition_key", "id"], unique=False
    )
    op.create_table(
        "feature_statistics",
        sa.Column("dataset", NAME, nullable=False),
        sa.Column("partition_key", sa.String(length=100), nullable=False),
        sa.Column("split", sa.String(length=100), nullable=False),
        sa.Column("feature", NAME, nullable=False),
        sa.Column("statistics", JSON, nullable=False),
        sa.Column("attempt_id", ID, nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"], name="fk_feature_statistics_attempt_id"),
        sa.PrimaryKeyConstraint("dataset", "partition_key", "split", "feature", name="pk_feature_statistics"),
    )
    op.create_table(
        "quarantine",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("dataset", NAME, nullable=False),
        sa.Column("relation", NAME, nullable=False),
        sa.Column("partition_key", sa.String(length=100), nullable=False),
        sa.Column("check_id", ID, nullable=False),
        sa.Column("attempt_id", ID, nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("total_rows", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("changed_at", TIME, nullable=False),
        sa.Column("actor", NAME, nullable=True),
        sa.Column("actor_reason", sa.Text(), nullable=True),
        sa.Column("release_whole", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"], name="fk_quarantine_attempt_id"),
        sa.ForeignKeyConstraint(["check_id"], ["check_definition.id"], name="fk_quarantine_check_id"),
        sa.PrimaryKeyConstraint("id", name="pk_quarantine"),
    )
    op.create_index("ix_quarantine_check_id_partition_key", "quarantine", ["check_id", "partition_key"], unique=False)
    op.create_index("ix_quarantine_dataset_partition_key", "quarantine", ["dataset", "partition_key"], unique=False)
    op.create_index("ix_quarantine_state_id", "quarantine", ["state", "id"], unique=False)
    op.create_table(
        "trained_on",
        sa.Column("model_id", ID, nullable=False),
        sa.Column("dataset", NAME, nullable=False),
        sa.Column("partition_key", sa.String(length=100), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["trained_model.id"], name="fk_trained_on_model_id"),
        sa.PrimaryKeyConstraint("model_id", "dataset", "partition_key", name="pk_trained_on"),
    )
    op.create_index("ix_trained_on_dataset_partition_key", "trained_on", ["dataset", "partition_key"], unique=False)
    op.create_table(
        "verdict",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("dataset", NAME, nullable=False),
        sa.Column("partition_key", sa.String(length=100), nullable=False),
        sa.Column("decision", sa.String(length=10), nullable=False),
        sa.Column("checked", sa.Integer(), nullable=False),
        sa.Column("causes", JSON, nullable=False),
        sa.Column("why", sa.String(length=20), nullable=False),
        sa.Column("actor", NAME, nullable=True),
        sa.Column("attempt_id", ID, nullable=True),
        sa.Column("decided_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"], name="fk_verdict_attempt_id"),
        sa.PrimaryKeyConstraint("id", name="pk_verdict"),
    )
    op.create_index("ix_verdict_dataset_partition_key_id", "verdict", ["dataset", "partition_key", "id"], unique=False)
    op.create_index("ix_verdict_partition_key", "verdict", ["partition_key"], unique=False)
    op.create_table(
        "waiver",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("check_id", ID, nullable=False),
        sa.Column("partition_key", sa.String(length=100), nullable=False),
        sa.Column("actor", NAME, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("ended_at", TIME, nullable=True),
        sa.Column("ended_why", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["check_id"], ["check_definition.id"], name="fk_waiver_check_id"),
        sa.PrimaryKeyConstraint("id", name="pk_waiver"),
    )
    op.create_index("ix_waiver_check_id_partition_key", "waiver", ["check_id", "partition_key"], unique=False)
    op.create_table(
        "check_state",
        sa.Column("check_id", ID, nullable=False),
        sa.Column("partition_key", sa.String(length=100), nullable=False),
        sa.Column("dataset", NAME, nullable=False),
        sa.Column("result_id", ID, nullable=False),
        sa.Column("severity", sa.String(length=20), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("excused", sa.Text(), nullable=True),
        sa.Column("failed_rows", sa.BigInteger(), nullable=True),
        sa.Column("quarantined_rows", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["check_id"], ["check_definition.id"], name="fk_check_state_check_id"),
        sa.ForeignKeyConstraint(["result_id"], ["check_result.id"], name="fk_check_state_result_id"),
        sa.PrimaryKeyConstraint("check_id", "partition_key", name="pk_check_state"),
    )
    op.create_index("ix_check_state_dataset_partition_key", "check_state", ["dataset", "partition_key"], unique=False)
    op.create_index("ix_check_state_result_id", "check_state", ["result_id"], unique=False)
    op.create_table(
        "incident",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("check_id", ID, nullable=False),
        sa.Column("dataset", NAME, nullable=False),
        sa.Column("tool", sa.String(length=20), nullable=False),
        sa.Column("dag_id", sa.String(length=250), nullable=False),
        sa.Column("search", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("severity", sa.String(length=20), nullable=False),
        sa.Column("severity_rank", sa.Integer(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("owner", NAME, nullable=True),
        sa.Column("tier", sa.String(length=50), nullable=True),
        sa.Column("runbook", sa.Text(), nullable=True),
        sa.Column("assignee", NAME, nullable=True),
        sa.Column("caused_by", ID, nullable=True),
        sa.Column("opened_at", TIME, nullable=False),
        sa.Column("first_seen", TIME, nullable=False),
        sa.Column("last_seen", TIME, nullable=False),
        sa.Column("occurrences", sa.Integer(), nullable=False),
        sa.Column("failing_partitions", sa.Integer(), nullable=False),
        sa.Column("last_result_id", ID, nullable=True),
        sa.Column("snoozed_until", TIME, nullable=True),
        sa.Column("resolved_at", TIME, nullable=True),
        sa.Column("resolution", sa.String(length=20), nullable=True),
        sa.Column("resolved_by", NAME, nullable=True),
        sa.Column("resolve_reason", sa.Text(), nullable=True),
        sa.Column("reopened", sa.Integer(), nullable=False),
        sa.Column("flapping", sa.Boolean(), nullable=False),
        sa.Column("passes_in_row", sa.Integer(), nullable=False),
        sa.Column("told", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["caused_by"], ["incident.id"], name="fk_incident_caused_by"),
        sa.ForeignKeyConstraint(["check_id"], ["check_definition.id"], name="fk_incident_check_id"),
        sa.ForeignKeyConstraint(["last_result_id"], ["check_result.id"], name="fk_incident_last_result_id"),
        sa.PrimaryKeyConstraint("id", name="pk_incident"),
        sa.UniqueConstraint("check_id", name="uq_incident_check_id"),
    )
    op.create_index("ix_incident_assignee_dag_id", "incident", ["assignee", "dag_id"], unique=False)
    op.create_index("ix_incident_caused_by", "incident", ["caused_by"], unique=False)
    op.create_index("ix_incident_dataset_dag_id", "incident", ["dataset", "dag_id"], unique=False)
    op.create_index("ix_incident_last_result_id", "incident", ["last_result_id"], unique=False)
    op.create_index("ix_incident_owner_dag_id", "incident", ["owner", "dag_id"], unique=False)
    op.create_index("ix_incident_tool_dag_id", "incident", ["tool", "dag_id"], unique=False)
    # Written by hand: autogenerate does not know that each is of one database. See schema.py.
    more = FILTERED if op.get_bind().dialect.name == "sqlite" else []
    for name, at in (("seen", "last_seen"), ("opened", "opened_at")):
        columns = ["state", "severity_rank", at, "id", *more]
        op.create_index(f"ix_incident_{name}{'_filtered' if more else ''}", "incident", columns, unique=False)
    if more:
        op.create_index("ix_incident_searched", "incident", ["state", *more, "search"], unique=False)
    op.create_table(
        "quarantined_row",
        sa.Column("quarantine_id", ID, nullable=False),
        sa.Column("row_id", sa.String(length=64), nullable=False),
        sa.Column("row", JSON, nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.ForeignKeyConstraint(["quarantine_id"], ["quarantine.id"], name="fk_quarantined_row_quarantine_id"),
        sa.PrimaryKeyConstraint("quarantine_id", "row_id", name="pk_quarantined_row"),
    )
    op.create_table(
        "incident_event",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("incident_id", ID, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("actor", NAME, nullable=False),
        sa.Column("partition_key", sa.String(length=100), nullable=True),
        sa.Column("detail", JSON, nullable=False),
        sa.ForeignKeyConstraint(["incident_id"], ["incident.id"], name="fk_incident_event_incident_id"),
        sa.PrimaryKeyConstraint("id", name="pk_incident_event"),
    )
    op.create_index("ix_incident_event_incident_id_id", "incident_event", ["incident_id", "id"], unique=False)
    op.create_table(
        "incident_partition",
        sa.Column("incident_id", ID, nullable=False),
        sa.Column("partition_key", sa.String(length=100), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("first_seen", TIME, nullable=False),
        sa.Column("last_seen", TIME, nullable=False),
        sa.Column("result_id", ID, nullable=True),
        sa.Column("caused_by", ID, nullable=True),
        sa.ForeignKeyConstraint(["caused_by"], ["incident.id"], name="fk_incident_partition_caused_by"),
        sa.ForeignKeyConstraint(["incident_id"], ["incident.id"], name="fk_incident_partition_incident_id"),
        sa.ForeignKeyConstraint(["result_id"], ["check_result.id"], name="fk_incident_partition_result_id"),
        sa.PrimaryKeyConstraint("incident_id", "partition_key", name="pk_incident_partition"),
    )
    op.create_index(
        "ix_incident_partition_partition_key_state_incident_id",
        "incident_partition",
        ["partition_key", "state", "incident_id"],
        unique=False,
    )
    op.create_index("ix_incident_partition_result_id", "incident_partition", ["result_id"], unique=False)
    op.create_table(
        "notification",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("incident_id", ID, nullable=False),
        sa.Column("event_id", ID, nullable=False),
        sa.Column("change", sa.String(length=20), nullable=False),
        sa.Column("route", NAME, nullable=True),
        sa.Column("payload", JSON, nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("lease_until", TIME, nullable=True),
        sa.Column("lease_owner", NAME, nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("delivered_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["event_id"], ["incident_event.id"], name="fk_notification_event_id"),
        sa.ForeignKeyConstraint(["incident_id"], ["incident.id"], name="fk_notification_incident_id"),
        sa.PrimaryKeyConstraint("id", name="pk_notification"),
        sa.UniqueConstraint("event_id", "route", name="uq_notification_event_id_route"),
    )
    op.create_index("ix_notification_incident_id", "notification", ["incident_id"], unique=False)
    op.create_index("ix_notification_state_due_at", "notification", ["state", "due_at"], unique=False)


def downgrade() -> None:
    raise NotImplementedError("the ledger is never taken back to an earlier version: put back a copy instead")
