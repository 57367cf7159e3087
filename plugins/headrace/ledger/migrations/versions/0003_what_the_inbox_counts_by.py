"""Counting the inbox by dataset, owner, tool, assignee or DAG reads one index and no table.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

COUNTED = ["state", "dag_id", "caused_by", "snoozed_until"]
revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("dataset", "owner", "tool", "assignee"):
        op.drop_index(f"ix_incident_{name}_dag_id", "incident")
        op.create_index(f"ix_incident_{name}_counted", "incident", [name, *COUNTED], unique=False)
    op.create_index("ix_incident_dag_id_counted", "incident", ["dag_id", "state", "caused_by", "snoozed_until"])
