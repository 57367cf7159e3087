"""Which results speak of data that was replaced, of which task instance they are, and what waivers were given for.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("check_state", sa.Column("stale", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("attempt", sa.Column("instance", sa.String(length=100)))
    op.add_column("waiver", sa.Column("failed_rows", sa.BigInteger()))
    op.add_column("trained_model", sa.Column("blessings", JSON))
