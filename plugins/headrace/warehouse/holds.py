"""Which landed partitions may not be looked at yet, or no more, and why; orchestration interpreter."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.quality.identifiers import name_relation
from headrace.quality.partitions import check_partition_key
from headrace.warehouse.connection import open_warehouse, qualify_schema

if TYPE_CHECKING:
    import duckdb

HOLDS_SCHEMA = "headrace"
HOLDS_TABLE = "held_partitions"
NOT_CHECKED = "landed, not checked yet"
BEING_CHECKED = "being checked: a gate moved rows of it and has not finished"


def hold_partition(warehouse: Path, relations: Iterable[str], partition_key: str, reason: str) -> None:
    """Hold one partition of some tables: dbt's staging models leave its rows out until it is released.

    A partition that is held already gets the new reason and keeps its ``since``. Without a warehouse there are no
    rows to hold, and none is made.

    Args:
        warehouse: The DuckDB file.
        relations: ``schema.table`` each; all are held or none.
        partition_key: For example ``2013-02``.
        reason: What is wrong, for a person.

    Raises:
        InvalidPartitionKeyError: The key is not usable.
        WarehouseLockedError: Another process holds the warehouse.
    """
    relations, key = list(relations), check_partition_key(partition_key)
    if not relations or not warehouse.is_file():
        return
    with open_warehouse(warehouse) as connection:
        connection.begin()
        write_holds(connection, relations, key, reason)
        connection.commit()


def release_partition(warehouse: Path, relations: Iterable[str], partition_key: str) -> None:
    """Let dbt see one partition of some tables again; one that is not held stays as it is.

    Args:
        warehouse: The DuckDB file.
        relations: ``schema.table`` each; all are released or none.
        partition_key: For example ``2013-02``.

    Raises:
        InvalidPartitionKeyError: The key is not usable.
        WarehouseLockedError: Another process holds the warehouse.
    """
    names, key = [name_relation(relation) for relation in relations], check_partition_key(partition_key)
    if not names or not warehouse.is_file():
        return
    with open_warehouse(warehouse) as connection:
        connection.begin()
        holds = _prepare_table(connection)
        connection.execute(f"delete from {holds} where partition_key = ? and list_contains(?, relation)", [key, names])
        connection.commit()


def list_holds(warehouse: Path, partition_key: str) -> dict[str, str]:
    """Return why a partition is held, by table; empty where nothing is, or there is no warehouse yet.

    Raises:
        WarehouseLockedError: Another process holds the warehouse.
    """
    if not warehouse.is_file():
        return {}
    with open_warehouse(warehouse, read_only=True) as connection:
        known = "select 1 from information_schema.tables where table_schema = ? and table_name = ?"
        if not connection.execute(known, [HOLDS_SCHEMA, HOLDS_TABLE]).fetchone():
            return {}
        query = f"select relation, reason from {HOLDS_SCHEMA}.{HOLDS_TABLE} where partition_key = ? order by relation"
        return dict(connection.execute(query, [partition_key]).fetchall())


def write_holds(
    connection: "duckdb.DuckDBPyConnection", relations: Iterable[str], partition_key: str, reason: str
) -> None:
    """Write holds in the caller's transaction; see :func:`hold_partition`."""
    holds = _prepare_table(connection)
    for relation in relations:
        connection.execute(
            f"insert into {holds} values (?, ?, ?, now()) on conflict do update set reason = excluded.reason",
            [name_relation(relation), partition_key, reason],
        )


def _prepare_table(connection: "duckdb.DuckDBPyConnection") -> str:
    """Create the table of holds where there is none, and return its name."""
    schema = qualify_schema(connection, HOLDS_SCHEMA)
    connection.execute(f"create schema if not exists {schema}")
    connection.execute(
        f"create table if not exists {schema}.{HOLDS_TABLE} (relation varchar, partition_key varchar, reason varchar, "
        "since timestamptz, primary key (relation, partition_key))"
    )
    return f"{schema}.{HOLDS_TABLE}"
