"""What Alembic executes around each migration: inside the caller's transaction."""

from alembic import context

from headrace.ledger.schema import metadata

config = context.config
context.configure(
    connection=config.attributes["connection"],
    target_metadata=metadata,
    version_table=config.attributes["version_table"],
    transactional_ddl=True,
)
context.run_migrations()
