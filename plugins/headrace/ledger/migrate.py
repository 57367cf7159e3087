"""Running the ledger's migrations; imported only where there is one to run; orchestration interpreter."""

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from headrace.ledger.schema import HEAD, VERSION_TABLE

MIGRATIONS = Path(__file__).parent / "migrations"


def is_of_dialect(connection: Connection, item: Any) -> bool:
    """Tell whether a table, column or index of the schema is for this database; some indexes are for one only."""
    wanted = (getattr(item, "info", None) or {}).get("dialect")
    return wanted is None or bool(wanted == connection.dialect.name)


def build_config(connection: Connection | None = None) -> Config:
    """Build Alembic's configuration in code: there is no ``alembic.ini`` to find."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    config.attributes["version_table"] = VERSION_TABLE
    return config


def migrate(connection: Connection, revision: str = HEAD) -> None:
    """Bring the tables to a revision, inside the connection's transaction: all of it or nothing."""
    command.upgrade(build_config(connection), revision)
