"""Searching the inbox on Postgres reads an index of trigrams, where the server has them.

Revision ID: 0004
Revises: 0003
"""

from alembic import op
from sqlalchemy import exc, text

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    try:
        # May be made by whoever owns the database since Postgres 13; part of every packaged server, though not of
        # every hosted one. Without it a search reads every incident: slower, and right.
        with connection.begin_nested():
            connection.execute(text("CREATE EXTENSION IF NOT EXISTS pg_trgm"))
    except exc.DBAPIError:
        return
    op.create_index(
        "ix_incident_search_trigrams",
        "incident",
        ["search"],
        postgresql_using="gin",
        postgresql_ops={"search": "gin_trgm_ops"},
    )
