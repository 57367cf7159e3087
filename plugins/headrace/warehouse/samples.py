"""A few rows of the warehouse for people to look at; orchestration interpreter."""

from pathlib import Path
from typing import Any

from headrace.contracts.json_safe import make_json_safe
from headrace.warehouse.connection import open_warehouse

MAX_ROWS = 20


def fetch_rows(warehouse: Path, query: str, limit: int = MAX_ROWS) -> list[dict[str, Any]]:
    """Fetch the first rows of a query.

    Args:
        warehouse: The DuckDB file.
        query: A ``select`` that dbt compiled from the project's own tests, or the quoted name of a table. It is
            nobody's input.
        limit: How many rows at most.

    Returns:
        Each row as a mapping of column to JSON-safe value.

    Raises:
        HeadraceError: The warehouse cannot be opened.
        duckdb.Error: The query is not one that DuckDB can run.
    """
    with open_warehouse(warehouse) as connection:
        # Read only, whatever the text is; on lines of its own, for it may end in a comment.
        connection.execute("begin transaction read only")
        try:
            found = connection.execute(f"select * from (\n{query.strip().rstrip(';')}\n) limit {int(limit)}")
            names = [column[0] for column in found.description or ()]
            return [
                {name: make_json_safe(value) for name, value in zip(names, row, strict=True)}
                for row in found.fetchall()
            ]
        finally:
            connection.execute("rollback")
