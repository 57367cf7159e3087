"""What Alembic executes around each migration: inside the caller's transaction."""

from alembic import context

from headrace.ledger.migrate import is_of_dialect
from headrace.ledger.schema import metadata

config = context.config
connection = config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    version_table=config.attributes["version_table"],
    transactional_ddl=True,
    include_object=lambda item, *_: is_of_dialect(connection, item),
)
context.run_migrations()
