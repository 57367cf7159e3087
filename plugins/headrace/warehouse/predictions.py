"""The tables of predictions, ``predictions.<model>``: a partition whole, or not at all; orchestration interpreter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.contracts.scoring import ADDED_COLUMNS
from headrace.exceptions import CheckFailedError, ConfigurationError
from headrace.quality.identifiers import quote_identifier, quote_known_name
from headrace.quality.partitions import check_partition_key
from headrace.warehouse.connection import open_warehouse, qualify_schema

if TYPE_CHECKING:
    import duckdb

SCHEMA = "predictions"
_ADDED = (
    "?::varchar as partition_key, ?::varchar as model, ?::bigint as model_version, ?::varchar as model_digest, "
    "?::timestamp as scored_at"
)


@dataclass(frozen=True)
class LoadedPredictions:
    """A partition of a predictions' table.

    Attributes:
        relation: ``schema.table``.
        rows: That were written.
        replaced_rows: Of the partition, that were there before.
    """

    relation: str
    rows: int
    replaced_rows: int


def load_predictions(
    warehouse: Path,
    file: Path,
    model: str,
    partition_key: str,
    *,
    number: int,
    digest: str,
    key_columns: Sequence[str],
    scored_at: datetime,
) -> LoadedPredictions:
    """Replace a partition of ``predictions.<model>`` by a file of predictions, in one transaction.

    Args:
        warehouse: The DuckDB file.
        file: Parquet: the keys, and the model's outputs.
        model: Its name, which is the table's.
        partition_key: That was scored.
        number: Of the version that scored it.
        digest: Of that version.
        key_columns: By these a row is known; no two rows may have the same.
        scored_at: UTC, without a zone.

    Raises:
        CheckFailedError: Two rows have one key, or one has none: they could not be told apart. Nothing changed.
        ConfigurationError: A column has another type in the table. Nothing changed.
        WarehouseLockedError: Another process holds the warehouse.
    """
    check_partition_key(partition_key)
    table = quote_identifier(model)
    with open_warehouse(warehouse) as connection:
        columns = _describe(connection, "select * from read_parquet(?)", [str(file)])
        _refuse_ambiguous_keys(connection, file, key_columns)
        connection.begin()
        try:
            relation = f"{qualify_schema(connection, SCHEMA)}.{table}"
            _prepare_table(connection, relation, file, columns)
            of_partition = f"from {relation} where partition_key = ?"
            replaced = _count(connection, f"select count(*) {of_partition}", [partition_key])
            connection.execute(f"delete {of_partition}", [partition_key])
            connection.execute(
                f"insert into {relation} by name select *, {_ADDED} from read_parquet(?)",
                [partition_key, model, number, digest, scored_at, str(file)],
            )
            rows = _count(connection, f"select count(*) {of_partition}", [partition_key])
        except BaseException:
            connection.rollback()
            raise
        connection.commit()
    return LoadedPredictions(f"{SCHEMA}.{model}", rows, replaced)


def _refuse_ambiguous_keys(connection: "duckdb.DuckDBPyConnection", file: Path, key_columns: Sequence[str]) -> None:
    names = [quote_known_name(name) for name in key_columns]
    missing = " or ".join(f"{name} is null" for name in names)
    of = [str(file)]
    without = _count(connection, f"select count(*) from read_parquet(?) where {missing}", of)
    same = f"select 1 from read_parquet(?) group by {', '.join(names)} having count(*) > 1"
    twice = _count(connection, f"select count(*) from ({same})", of)
    if without or twice:
        told = (
            f"{without:,} rows have no {' or '.join(key_columns)}" if without else f"{twice:,} keys are of several rows"
        )
        raise CheckFailedError(
            f"The predictions are not written: {told}, so that nobody could tell whose they are. Give the columns that "
            f"are a key: key_columns, now {', '.join(key_columns)}."
        )


def _prepare_table(
    connection: "duckdb.DuckDBPyConnection", relation: str, file: Path, columns: Mapping[str, str]
) -> None:
    """Create the table, or add the columns that a newer version of the model has gained."""
    connection.execute(f"create schema if not exists {qualify_schema(connection, SCHEMA)}")
    nothing = ", ".join(
        f"null::{kind} as {name}"
        for name, kind in zip(ADDED_COLUMNS, ("varchar", "varchar", "bigint", "varchar", "timestamp"), strict=True)
    )
    connection.execute(
        f"create table if not exists {relation} as select {nothing}, * from read_parquet(?) limit 0", [str(file)]
    )
    there = _describe(connection, f"select * from {relation}", [])
    for name, kind in columns.items():
        if name not in there:
            connection.execute(f"alter table {relation} add column {quote_known_name(name)} {kind}")
        elif there[name] != kind:
            raise ConfigurationError(
                f"{relation} has {name} as {there[name]}, and the model answers {kind}: rename the output or the key, "
                "or drop the table and score its partitions again."
            )


def _describe(connection: "duckdb.DuckDBPyConnection", query: str, values: list[str]) -> dict[str, str]:
    return {name: kind for name, kind, *_ in connection.execute(f"describe {query}", values).fetchall()}


def _count(connection: "duckdb.DuckDBPyConnection", query: str, values: list[str]) -> int:
    row = connection.execute(query, values).fetchone()
    return int(row[0]) if row else 0
