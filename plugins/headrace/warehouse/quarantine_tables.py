"""Where rows that are set aside lie: a mirror of each table, in a schema of its own; orchestration interpreter.

``headrace_quarantine."raw.weather"`` has the columns and types of ``raw.weather``, and after them Headrace's own. A row
stays there for good, whatever becomes of it: ``_state`` says whether it is still set aside.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from headrace.exceptions import ConfigurationError
from headrace.quality.identifiers import (
    name_relation,
    quote_identifier,
    quote_known_name,
    quote_literal,
    quote_relation,
)
from headrace.warehouse.connection import qualify_schema

if TYPE_CHECKING:
    import duckdb

QUARANTINE_SCHEMA = "headrace_quarantine"
ROW_TAG, HELD_TAG = "_headrace_row", "_headrace_held"
TAGS = (ROW_TAG, HELD_TAG)
OWN_COLUMNS = {
    "_row_id": "varchar",
    "_suite": "varchar",  # of the check it is booked under
    "_dataset": "varchar",
    "_partition_key": "varchar",
    "_dag_id": "varchar",
    "_run_id": "varchar",
    "_task_id": "varchar",
    "_map_index": "integer",
    "_try_number": "integer",
    "_check": "varchar",  # digest of the check it is booked under
    "_checks": "varchar[]",  # of every check that set it aside
    "_reason": "varchar",
    "_quarantined_at": "timestamptz",
    "_state": "varchar",
    "_changed_at": "timestamptz",
    "_actor": "varchar",
    "_actor_reason": "varchar",
    "_holders": "struct(suite varchar, dataset varchar, digest varchar, reason varchar)[]",
    "_words": "struct(digest varchar, actor varchar, reason varchar)[]",  # let go in these, while others hold it
}


class Mover(NamedTuple):
    """The try of a task that set rows aside: the ledger keeps what it set aside under the same."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1
    try_number: int = 1


class RowState(str, Enum):
    """What became of a row that was set aside. Only ``HELD`` ones are missing from their table."""

    HELD = "held"
    RELEASED = "released"  # a person let it go on; it is back
    RETURNED = "returned"  # no check sets it aside any more; it is back
    SUPERSEDED = "superseded"  # its partition was landed or built again, without it or with it


@dataclass(frozen=True)
class PartitionRows:
    """The rows of a partition as it was landed or built: those in the table, and those that are set aside.

    Attributes:
        query: SQL that returns them; literals, no parameters.
        columns: Its columns, tags included.
        rows: How many.
        held: Of these, how many are set aside.
    """

    query: str
    columns: tuple[str, ...]
    rows: int
    held: int


def select_partition(
    connection: "duckdb.DuckDBPyConnection",
    relation: str,
    partition_column: str | None,
    partition_key: str,
    *,
    tagged: bool = False,
) -> PartitionRows:
    """Return the query for a partition's rows.

    Args:
        connection: To the warehouse.
        relation: ``schema.table``; it exists.
        partition_column: None: the whole table.
        partition_key: The partition.
        tagged: With ``_headrace_row`` (the row's place in the table) and ``_headrace_held`` (its id where it is set
            aside), of which one is null: they tell rows apart that are the same, or have no key.

    Raises:
        ConfigurationError: Tags are wanted and the relation is no table, or has a column of such a name.
    """
    columns = list(describe_columns(connection, relation))
    where = partition_condition(partition_column, partition_key)
    if tagged:
        refuse_untaggable(connection, relation, columns)
    names = [quote_known_name(name) for name in columns]
    tags = [f"rowid as {ROW_TAG}", f"null::varchar as {HELD_TAG}"] * tagged
    query = f"select {', '.join([*names, *tags])} from {quote_relation(relation)} where {where}"
    rows, held = count(connection, f"select count(*) from ({query})"), 0
    mirror = find_mirror(connection, relation)
    if mirror:
        there = {name.lower() for name in describe_columns(connection, mirror)}
        held = count(
            connection, f"select count(*) from {mirror} where {held_condition(where, there, partition_column)}"
        )
    if mirror and held:
        types = describe_columns(connection, relation)
        values = [
            quote_known_name(name) if name.lower() in there else f"null::{types[name]} as {quote_known_name(name)}"
            for name in columns
        ]
        tags = [f"null::bigint as {ROW_TAG}", f"_row_id as {HELD_TAG}"] * tagged
        query += (
            f" union all select {', '.join([*values, *tags])} from {mirror} "
            f"where {held_condition(where, there, partition_column)}"
        )
    return PartitionRows(query, (*columns, *(TAGS if tagged else ())), rows + held, held)


def partition_condition(partition_column: str | None, partition_key: str) -> str:
    return f"{quote_identifier(partition_column)} = {quote_literal(partition_key)}" if partition_column else "true"


def held_condition(where: str, mirrored: "set[str] | Sequence[str]", partition_column: str | None) -> str:
    if partition_column and partition_column.lower() not in mirrored:
        return "false"  # they were set aside before the table had partitions
    return f"_state = '{RowState.HELD.value}' and {where}"


def refuse_untaggable(connection: "duckdb.DuckDBPyConnection", relation: str, columns: Sequence[str]) -> None:
    """Refuse a relation whose rows cannot be told apart or mirrored."""
    import duckdb

    taken = sorted({name for name in columns if name.lower() in {"rowid", *TAGS, *OWN_COLUMNS}})
    if taken:
        raise ConfigurationError(
            f"{relation} has a column {taken[0]}, a name that the quarantine needs for itself: rename the column, or "
            "take quarantine from the suite",
            table=relation,
        )
    try:
        connection.execute(f"select rowid from {quote_relation(relation)} limit 0")
    except duckdb.Error as error:
        raise ConfigurationError(
            f"{relation} is not a table, so no rows can be moved out of it: materialize it as a table, or take "
            "quarantine from the suite",
            table=relation,
        ) from error


def prepare_mirror(connection: "duckdb.DuckDBPyConnection", relation: str) -> str:
    """Create the mirror of a table, or bring it up to the table's columns, and return its quoted name.

    Raises:
        ConfigurationError: A column's type was changed, and rows that are set aside do not fit it.
    """
    import duckdb

    schema = qualify_schema(connection, QUARANTINE_SCHEMA)
    mirror = f"{schema}.{quote_known_name(name_relation(relation))}"
    connection.execute(f"create schema if not exists {schema}")
    own = ", ".join(f"null::{data_type} as {name}" for name, data_type in OWN_COLUMNS.items())
    connection.execute(
        f"create table if not exists {mirror} as select *, {own} from {quote_relation(relation)} limit 0"
    )
    mirrored = {name.lower(): data_type for name, data_type in describe_columns(connection, mirror).items()}
    for name, data_type in describe_columns(connection, relation).items():
        if name.lower() not in mirrored:
            connection.execute(f"alter table {mirror} add column {quote_known_name(name)} {data_type}")
        elif mirrored[name.lower()] != data_type:
            try:
                connection.execute(f"alter table {mirror} alter column {quote_known_name(name)} type {data_type}")
            except duckdb.Error as error:
                raise ConfigurationError(
                    f"{relation} has {name} as {data_type} now, and rows that were set aside from it hold values of "
                    f"{mirrored[name.lower()]} that do not fit ({str(error).splitlines()[0]}): mend them in {mirror}, "
                    "or delete them there",
                    table=relation,
                ) from error
    return mirror


def upgrade_mirror(connection: "duckdb.DuckDBPyConnection", relation: str) -> None:
    """Give a mirror that an older Headrace made the columns it lacks, outside of any transaction."""
    mirror = find_mirror(connection, relation)
    if not mirror or "_holders" in describe_columns(connection, mirror):
        return
    connection.begin()
    for name in ("_suite", "_holders", "_words"):
        connection.execute(f"alter table {mirror} add column {name} {OWN_COLUMNS[name]}")
    connection.execute(
        f"update {mirror} set _holders = list_transform(_checks, lambda digest: "
        "{'suite': null::varchar, 'dataset': _dataset, 'digest': digest, 'reason': _reason})"
    )
    connection.commit()


def find_mirror(connection: "duckdb.DuckDBPyConnection", relation: str) -> str | None:
    """Return the quoted name of a table's mirror; None where nothing of it was ever set aside."""
    known = connection.execute(
        "select 1 from duckdb_tables() where database_name = current_database() and schema_name = ? and table_name = ?",
        [QUARANTINE_SCHEMA, name_relation(relation)],
    ).fetchone()
    if not known:
        return None
    return f"{qualify_schema(connection, QUARANTINE_SCHEMA)}.{quote_known_name(name_relation(relation))}"


def describe_columns(connection: "duckdb.DuckDBPyConnection", relation: str) -> dict[str, str]:
    """Return column to data type, in order; ``relation`` may be quoted already."""
    quoted = relation if '"' in relation else quote_relation(relation)
    return {name: data_type for name, data_type, *_ in connection.execute(f"describe {quoted}").fetchall()}


def list_plain_columns(connection: "duckdb.DuckDBPyConnection", relation: str) -> dict[str, str]:
    """Return column to data type, without generated columns, into which nothing can be written."""
    *_, schema, table = ["main", *relation.split(".")]
    generated = connection.execute(
        "select column_name from information_schema.columns where table_catalog = current_database() "
        "and lower(table_schema) = lower(?) and lower(table_name) = lower(?) and is_generated = 'ALWAYS'",
        [schema, table],
    ).fetchall()
    leave_out = {name for (name,) in generated}
    columns = describe_columns(connection, relation)
    return {name: data_type for name, data_type in columns.items() if name not in leave_out}


def count(connection: "duckdb.DuckDBPyConnection", query: str, values: Sequence[object] = ()) -> int:
    row = connection.execute(query, list(values)).fetchone()
    return int(row[0]) if row and row[0] is not None else 0
