"""Reading one landed CSV file strictly, and saying where it is wrong; orchestration interpreter."""

import csv
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.exceptions import ConfigurationError, LandingError
from headrace.quality.identifiers import quote_identifier, quote_literal
from headrace.warehouse.landing_tables import LandingTable

if TYPE_CHECKING:
    import duckdb

PARTITION_COLUMN = "partition_key"
_OWN_COLUMNS = (PARTITION_COLUMN, "_landed_at")
_WHOLE_NUMBERS = frozenset({"tinyint", "smallint", "integer", "int", "bigint", "hugeint", "int2", "int4", "int8"})
_DATA_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_ ]*(\([0-9 ,]+\))?[A-Za-z ]*(\[\])?")
_CAST_MESSAGE = re.compile(r"Could not convert string \"(?P<text>.*)\" to '(?P<data_type>[^']+)'", re.DOTALL)
_SHOWN = 5


@dataclass(frozen=True)
class LandingFile:
    """A landed file whose header was read and holds every declared column.

    Attributes:
        table: The table it lands in.
        path: The file.
        header: Its columns, in the file's order.
        columns: Declared column to data type, our own columns left out.
        warnings: Plain sentences about unknown columns.
        sha256: Of the file's bytes.
    """

    table: LandingTable
    path: Path
    header: tuple[str, ...]
    columns: dict[str, str]
    warnings: tuple[str, ...]
    sha256: str

    @classmethod
    def open(cls, table: LandingTable, landing_dir: Path, partition_key: str) -> "LandingFile":
        """Read the header of a table's file.

        Raises:
            LandingError: No such file, an empty one, or one that lacks a column.
        """
        path = table.path(landing_dir, partition_key)
        columns = {name: data_type for name, data_type in table.columns.items() if name not in _OWN_COLUMNS}
        header = _read_header(table, path)
        missing = [name for name in columns if name not in header]
        if missing:
            raise LandingError(
                f"{path} lacks {_columns(missing)}, which source {table.name} declares; it has: {', '.join(header)}",
                path=str(path),
                source=table.name,
                missing=missing,
            )
        unknown = [name for name in header if name not in columns]
        warnings = (f"{path} has {_columns(unknown)} unknown to source {table.name}: not landed",) if unknown else ()
        with path.open("rb") as content:
            sha256 = hashlib.file_digest(content, "sha256").hexdigest()
        return cls(table, path, header, columns, warnings, sha256)


def stage_file(connection: "duckdb.DuckDBPyConnection", file: LandingFile, partition_key: str, staged: str) -> int:
    """Read the file into a temporary table and check every row of it.

    Args:
        connection: In a transaction.
        file: The file, its header read.
        partition_key: The partition that its rows must belong to.
        staged: Name of the temporary table to create.

    Returns:
        The number of rows, at least 1.

    Raises:
        LandingError: Malformed rows, no rows, or rows of another partition.
    """
    import duckdb

    types = {name: _check_data_type(file, name, data_type) for name, data_type in file.columns.items()}
    layout = ", ".join(f"{quote_literal(name)}: {quote_literal(types.get(name, 'VARCHAR'))}" for name in file.header)
    nulls = ", ".join(quote_literal(text) for text in ("", *file.table.nulls))
    reading = (
        f"nullstr = [{nulls}], auto_detect = false, header = true, delim = ',', quote = '\"', escape = '\"', "
        "store_rejects = true"
    )
    names = ", ".join(quote_identifier(name) for name in types)
    try:
        connection.execute(
            f"create or replace temp table {staged} as "
            f"select {names} from read_csv(?, columns = {{{layout}}}, {reading})",
            [str(file.path)],
        )
    except duckdb.Error as error:
        raise LandingError(
            f"{file.path} cannot be read as CSV: {error}", path=str(file.path), source=file.table.name
        ) from error
    _refuse_malformed_rows(connection, file)
    _refuse_fractions(connection, file, types, reading)
    rows = connection.execute(f"select count(*) from {staged}").fetchone()
    if not rows or not rows[0]:
        raise LandingError(
            f"{file.path} has a header and no rows: an empty partition is not landed",
            path=str(file.path),
            source=file.table.name,
        )
    if file.table.partitioned and file.table.partition_expression:
        _refuse_other_partitions(connection, file, partition_key, staged)
    return int(rows[0])


def _refuse_fractions(
    connection: "duckdb.DuckDBPyConnection", file: LandingFile, types: Mapping[str, str], reading: str
) -> None:
    """Refuse fractions in columns of whole numbers, which DuckDB would round without a word."""
    whole = [name for name in file.header if types.get(name, "").lower() in _WHOLE_NUMBERS]
    if not whole:
        return
    layout = ", ".join(
        f"{quote_literal(name)}: {quote_literal('DOUBLE' if name in whole else 'VARCHAR')}" for name in file.header
    )
    columns = {name: quote_identifier(name) for name in whole}
    fractions = " or ".join(f"{column} <> trunc({column})" for column in columns.values())
    row = connection.execute(
        f"select {', '.join(columns.values())} from read_csv(?, columns = {{{layout}}}, {reading}) "
        f"where {fractions} limit 1",
        [str(file.path)],
    ).fetchone()
    if row:
        name, value = next((name, value) for name, value in zip(whole, row, strict=True) if value and value % 1)
        raise LandingError(
            f"{file.path}: column {name} holds {value:g}, and source {file.table.name} declares whole numbers "
            f"({types[name]}): mend the file, or the column's data_type",
            path=str(file.path),
            source=file.table.name,
            column=name,
        )


def _read_header(table: LandingTable, path: Path) -> tuple[str, ...]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            header = tuple(next(csv.reader(lines), []))
    except FileNotFoundError:
        raise LandingError(
            f"{path} does not exist: source {table.name} is landed from it", path=str(path), source=table.name
        ) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LandingError(f"{path} cannot be read: {error}", path=str(path), source=table.name) from error
    folded = [name.lower() for name in header]
    repeated = sorted({name for name in header if folded.count(name.lower()) > 1})
    unnamed = [number for number, name in enumerate(header, 1) if not name.strip()]
    if not header or repeated or unnamed:
        problem = f"names {_columns(repeated)} more than once" if repeated else "is empty, without even a header"
        if unnamed:
            problem = f"has a column without a name (number {unnamed[0]} of its header)"
        raise LandingError(f"{path} {problem}", path=str(path), source=table.name)
    return header


def _check_data_type(file: LandingFile, name: str, data_type: str) -> str:
    if not _DATA_TYPE.fullmatch(data_type):
        raise ConfigurationError(f"source {file.table.name}: {data_type!r} of column {name} is not a data type")
    return data_type


def _refuse_malformed_rows(connection: "duckdb.DuckDBPyConnection", file: LandingFile) -> None:
    rejects = connection.execute(
        "select line, column_name, error_message, csv_line from reject_errors "
        # a row that is too short is told once for each column that it lacks
        "qualify error_type = 'CAST' or row_number() over (partition by line, error_type order by column_idx) = 1 "
        "order by line, column_idx"
    ).fetchall()
    connection.execute("drop table reject_errors; drop table reject_scans")
    if not rejects:
        return
    shown = [_describe_reject(*reject) for reject in rejects[:_SHOWN]]
    of_how_many = f", the first {_SHOWN} of them" if len(rejects) > _SHOWN else ""
    raise LandingError(
        f"{file.path} has {len(rejects):,} malformed value{'s'[: len(rejects) > 1]}{of_how_many}: {'; '.join(shown)}. "
        "Nothing was landed",
        path=str(file.path),
        source=file.table.name,
        malformed=len(rejects),
        lines=[int(reject[0]) for reject in rejects[:_SHOWN]],
    )


def _describe_reject(line: int, column: str, message: str, text: str) -> str:
    match = _CAST_MESSAGE.search(message)
    if match:
        return f"line {line}, column {column}: {match['text'][:80]!r} is not a {match['data_type']}"
    reason = message.strip().rstrip(".")
    return f"line {line}, column {column}: {reason} in {text.strip()[:80]!r}"


def _refuse_other_partitions(
    connection: "duckdb.DuckDBPyConnection", file: LandingFile, partition_key: str, staged: str
) -> None:
    import duckdb

    table = file.table
    try:
        others = connection.execute(
            f"with rows_of as (select ({table.partition_expression})::varchar as belongs_to from {staged}) "
            "select belongs_to, count(*) from rows_of where belongs_to is distinct from ? "
            "group by all order by count(*) desc, belongs_to",
            [partition_key],
        ).fetchall()
    except duckdb.Error as error:
        raise LandingError(
            f"{file.path}: the partition_expression of source {table.name} ({table.partition_expression}) failed: "
            f"{str(error).splitlines()[0]}",
            path=str(file.path),
            source=table.name,
        ) from error
    if others:
        found = ", ".join(f"{count:,} of {key or 'no partition (null)'}" for key, count in others[:_SHOWN])
        raise LandingError(
            f"{file.path} is landed as partition {partition_key} but holds rows of others: {found}. Nothing was landed",
            path=str(file.path),
            source=table.name,
            partitions=[key for key, _ in others[:_SHOWN]],
        )


def _columns(names: list[str]) -> str:
    return f"column{'s'[: len(names) > 1]} {', '.join(names)}"
