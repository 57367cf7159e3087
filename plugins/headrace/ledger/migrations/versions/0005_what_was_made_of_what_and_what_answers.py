"""What was made of what, partition by partition and column by column; and which model versions there are and answer.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
NAME = sa.String(length=500)
TIME = sa.DateTime(timezone=True)
revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "column_edge",
        sa.Column("dataset", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("from_dataset", NAME, nullable=False),
        sa.Column("from_name", NAME, nullable=False),
        sa.Column("how", sa.String(length=10), nullable=False),
        sa.PrimaryKeyConstraint("dataset", "name", "from_dataset", "from_name", name="pk_column_edge"),
    )
    op.create_index("ix_column_edge_from_dataset_from_name", "column_edge", ["from_dataset", "from_name"], unique=False)
    op.create_table(
        "column_source",
        sa.Column("dataset", NAME, nullable=False),
        sa.Column("checksum", sa.String(length=64), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("dataset", name="pk_column_source"),
    )
    op.create_table(
        "data_version",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("dataset", NAME, nullable=False),
        sa.Column("partition_key", sa.String(length=100), nullable=False),
        sa.Column("fingerprint", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=50), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=True),
        sa.Column("uri", sa.Text(), nullable=True),
        sa.Column("first_seen", TIME, nullable=False),
        sa.Column("last_seen", TIME, nullable=False),
        sa.Column("detail", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_data_version"),
        sa.UniqueConstraint(
            "dataset", "partition_key", "fingerprint", name="uq_data_version_dataset_partition_key_fingerprint"
        ),
    )
    op.create_index(
        "ix_data_version_dataset_partition_key_last_seen",
        "data_version",
        ["dataset", "partition_key", "last_seen"],
        unique=False,
    )
    op.create_table(
        "dataset_column",
        sa.Column("dataset", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("type", sa.String(length=100), nullable=True),
        sa.PrimaryKeyConstraint("dataset", "name", name="pk_dataset_column"),
    )
    op.create_table(
        "lineage_run",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("attempt_id", ID, nullable=True),
        sa.Column("job", NAME, nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=True),
        sa.Column("execution_id", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("dag_id", sa.String(length=250), nullable=False),
        sa.Column("run_id", sa.String(length=250), nullable=False),
        sa.Column("partition_key", sa.String(length=100), nullable=False),
        sa.Column("started", TIME, nullable=True),
        sa.Column("ended", TIME, nullable=True),
        sa.Column("detail", JSON, nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"], name="fk_lineage_run_attempt_id"),
        sa.PrimaryKeyConstraint("id", name="pk_lineage_run"),
        sa.UniqueConstraint(
            "dag_id", "run_id", "job", "partition_key", name="uq_lineage_run_dag_id_run_id_job_partition_key"
        ),
    )
    op.create_index("ix_lineage_run_attempt_id", "lineage_run", ["attempt_id"], unique=False)
    op.create_index("ix_lineage_run_job_ended", "lineage_run", ["job", "ended"], unique=False)
    op.create_table(
        "model_version",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("model", NAME, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("trained_model_id", ID, nullable=False),
        sa.Column("version_id", ID, nullable=True),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("state_why", sa.Text(), nullable=True),
        sa.Column("ir", sa.String(length=64), nullable=True),
        sa.Column("commit", sa.String(length=64), nullable=True),
        sa.Column("dirty", sa.Boolean(), nullable=True),
        sa.Column("lock", sa.String(length=64), nullable=True),
        sa.Column("code", JSON, nullable=False),
        sa.Column("signature", JSON, nullable=False),
        sa.Column("features", JSON, nullable=False),
        sa.Column("schema_digest", sa.String(length=64), nullable=True),
        sa.Column("metrics", JSON, nullable=False),
        sa.Column("verdicts", JSON, nullable=False),
        sa.Column("baseline", JSON, nullable=True),
        sa.Column("pushed_version", sa.String(length=50), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["trained_model_id"], ["trained_model.id"], name="fk_model_version_trained_model_id"),
        sa.ForeignKeyConstraint(["version_id"], ["data_version.id"], name="fk_model_version_version_id"),
        sa.PrimaryKeyConstraint("id", name="pk_model_version"),
        sa.UniqueConstraint("model", "number", name="uq_model_version_model_number"),
        sa.UniqueConstraint("trained_model_id", "digest", name="uq_model_version_trained_model_id_digest"),
    )
    op.create_index("ix_model_version_model_at", "model_version", ["model", "at"], unique=False)
    op.add_column("trained_on", sa.Column("fingerprint", sa.String(length=100)))
    # In SQL: SQLite takes a foreign key with its column only, and Alembic adds it after the column.
    number = "BIGINT" if op.get_bind().dialect.name == "postgresql" else "INTEGER"
    op.execute(
        f"ALTER TABLE trained_on ADD COLUMN version_id {number} "
        "CONSTRAINT fk_trained_on_version_id REFERENCES data_version (id)"
    )
    op.create_index("ix_trained_on_version_id_model_id", "trained_on", ["version_id", "model_id"], unique=False)
    op.create_table(
        "lineage_io",
        sa.Column("run_id", ID, nullable=False),
        sa.Column("version_id", ID, nullable=False),
        sa.Column("role", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["lineage_run.id"], name="fk_lineage_io_run_id"),
        sa.ForeignKeyConstraint(["version_id"], ["data_version.id"], name="fk_lineage_io_version_id"),
        sa.PrimaryKeyConstraint("run_id", "version_id", "role", name="pk_lineage_io"),
    )
    op.create_index(
        "ix_lineage_io_version_id_role_run_id", "lineage_io", ["version_id", "role", "run_id"], unique=False
    )
    op.create_table(
        "model_alias",
        sa.Column("model", NAME, nullable=False),
        sa.Column("alias", sa.String(length=50), nullable=False),
        sa.Column("model_version_id", ID, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("actor", NAME, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["model_version_id"], ["model_version.id"], name="fk_model_alias_model_version_id"),
        sa.PrimaryKeyConstraint("model", "alias", name="pk_model_alias"),
    )
    op.create_index("ix_model_alias_model_version_id", "model_alias", ["model_version_id"], unique=False)
    op.create_table(
        "model_taint",
        sa.Column("model_version_id", ID, nullable=False),
        sa.Column("dataset", NAME, nullable=False),
        sa.Column("partition_key", sa.String(length=100), nullable=False),
        sa.Column("actor", NAME, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("check_id", ID, nullable=True),
        sa.Column("at", TIME, nullable=False),
        sa.Column("ended_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["check_id"], ["check_definition.id"], name="fk_model_taint_check_id"),
        sa.ForeignKeyConstraint(["model_version_id"], ["model_version.id"], name="fk_model_taint_model_version_id"),
        sa.PrimaryKeyConstraint("model_version_id", "dataset", "partition_key", name="pk_model_taint"),
    )
    op.create_index("ix_model_taint_dataset_partition_key", "model_taint", ["dataset", "partition_key"], unique=False)
    op.create_table(
        "deployment",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("model", NAME, nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("action", sa.String(length=20), nullable=False),
        sa.Column("model_version_id", ID, nullable=True),
        sa.Column("from_version_id", ID, nullable=True),
        sa.Column("actor", NAME, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("approval", JSON, nullable=True),
        sa.Column("incident_id", ID, nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("at", TIME, nullable=False),
        sa.Column("live_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["from_version_id"], ["model_version.id"], name="fk_deployment_from_version_id"),
        sa.ForeignKeyConstraint(["incident_id"], ["incident.id"], name="fk_deployment_incident_id"),
        sa.ForeignKeyConstraint(["model_version_id"], ["model_version.id"], name="fk_deployment_model_version_id"),
        sa.PrimaryKeyConstraint("id", name="pk_deployment"),
        sa.UniqueConstraint("model", "generation", name="uq_deployment_model_generation"),
    )
    op.create_index("ix_deployment_model_version_id", "deployment", ["model_version_id"], unique=False)
