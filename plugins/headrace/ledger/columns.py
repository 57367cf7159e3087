"""The columns of datasets, and which is made from which; orchestration interpreter."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from headrace.contracts.json_safe import make_name_safe, make_text_safe
from headrace.ledger.database import Ledger
from headrace.ledger.schema import column_edge, column_source, dataset_column
from headrace.ledger.statements import chunk, read_on, upsert_rows, write_on

Edge = tuple[str, str, str, str]
"""Own column (``""`` where the other decides which rows there are), other dataset, its column, ``direct|indirect``."""


@dataclass(frozen=True)
class DatasetColumns:
    """What the SQL of one dataset says of its columns.

    Attributes:
        checksum: Of the SQL.
        columns: In order.
        edges: What they are made from.
        problem: Why they are not known; None where they are.
    """

    checksum: str
    columns: Sequence[str] = ()
    edges: Collection[Edge] = ()
    problem: str | None = None


def load_column_checksums(ledger: Ledger | Connection) -> dict[str, str]:
    """Return of which SQL the columns of each dataset are known."""
    with read_on(ledger) as connection:
        rows = connection.execute(select(column_source.c.dataset, column_source.c.checksum))
        return {str(row.dataset): str(row.checksum) for row in rows}


def record_columns(ledger: Ledger | Connection, found: Mapping[str, DatasetColumns]) -> None:
    """Record the columns of datasets instead of what was known of them.

    Raises:
        LedgerError: Nothing was recorded.
    """
    if not found:
        return
    named = {make_name_safe(name): each for name, each in found.items()}
    with write_on(ledger) as connection:
        for names in chunk(sorted(named)):
            for table in (dataset_column, column_edge):
                connection.execute(delete(table).where(table.c.dataset.in_(names)))
        sources = [
            {
                "dataset": name,
                "checksum": each.checksum,
                "problem": None if each.problem is None else make_text_safe(each.problem),
            }
            for name, each in named.items()
        ]
        upsert_rows(connection, column_source, sources, ("dataset",)).close()
        _insert(
            connection,
            dataset_column,
            [
                {"dataset": name, "name": make_name_safe(column), "position": place, "type": None}
                for name, each in named.items()
                for place, column in enumerate(dict.fromkeys(each.columns))
            ],
        )
        edges = {
            (name, *(make_name_safe(part) for part in edge[:3])): edge[3]
            for name, each in named.items()
            for edge in each.edges
        }
        _insert(
            connection,
            column_edge,
            [
                {"dataset": name, "name": own, "from_dataset": other, "from_name": column, "how": how}
                for (name, own, other, column), how in sorted(edges.items())
            ],
        )


def _insert(connection: Connection, table: object, rows: Iterable[Mapping[str, object]]) -> None:
    for some in chunk(list(rows)):
        connection.execute(insert(table), list(some))  # type: ignore[arg-type]
