"""Which file each partition was landed from, told in the transaction of its rows; orchestration interpreter."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.quality.identifiers import name_relation
from headrace.warehouse.connection import open_warehouse, qualify_schema
from headrace.warehouse.holds import HOLDS_SCHEMA

if TYPE_CHECKING:
    import duckdb

LANDED_TABLE = "landed_files"


def write_landed_file(
    connection: "duckdb.DuckDBPyConnection", relation: str, partition_key: str, sha256: str, rows: int
) -> bool:
    """Write down what was landed, in the caller's transaction.

    Args:
        relation: ``schema.table``.
        partition_key: Empty for a table that is landed whole.
        sha256: Of the file's bytes.
        rows: Rows of it.

    Returns:
        Whether these are other bytes than before, or the first.
    """
    schema = qualify_schema(connection, HOLDS_SCHEMA)
    connection.execute(f"create schema if not exists {schema}")
    connection.execute(
        f"create table if not exists {schema}.{LANDED_TABLE} (relation varchar, partition_key varchar, "
        "sha256 varchar, rows bigint, landed_at timestamptz, primary key (relation, partition_key))"
    )
    key = [name_relation(relation), partition_key]
    known = connection.execute(
        f"select sha256 from {schema}.{LANDED_TABLE} where relation = ? and partition_key = ?", key
    ).fetchone()
    connection.execute(
        f"insert into {schema}.{LANDED_TABLE} values (?, ?, ?, ?, now()) on conflict do update "
        "set sha256 = excluded.sha256, rows = excluded.rows, landed_at = excluded.landed_at",
        [*key, sha256, rows],
    )
    return known is None or known[0] != sha256


def list_landed_files(warehouse: Path, relations: Sequence[str], partition_key: str) -> dict[str, tuple[str, int]]:
    """Return what each table's partition, or whole table, was landed from: ``schema.table`` to sha256 and rows.

    Tables of which no landing is known are left out.
    """
    if not warehouse.is_file():
        return {}
    with open_warehouse(warehouse, read_only=True) as connection:
        known = "select 1 from information_schema.tables where table_schema = ? and table_name = ?"
        if not connection.execute(known, [HOLDS_SCHEMA, LANDED_TABLE]).fetchone():
            return {}
        rows = connection.execute(
            f"select relation, sha256, rows from {qualify_schema(connection, HOLDS_SCHEMA)}.{LANDED_TABLE} "
            "where list_contains(?, relation) and partition_key in (?, '')",
            [[name_relation(relation) for relation in relations], partition_key],
        ).fetchall()
    return {relation: (sha256, int(count)) for relation, sha256, count in rows}
