"""Which file each partition was landed from, told in the transaction of its rows; orchestration interpreter."""

from typing import TYPE_CHECKING

from headrace.quality.identifiers import name_relation
from headrace.warehouse.connection import qualify_schema
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
