"""Publishing one partition of a table as a Parquet file, whole or not at all; orchestration interpreter."""

import os
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.contracts.contents import KEPT_FOLDER, digest_file, keep_content
from headrace.contracts.files import rename_durably
from headrace.exceptions import ConfigurationError, NoResultsError, PublishingError
from headrace.jobs.processes import is_alive
from headrace.quality.identifiers import quote_identifier, quote_literal, quote_relation
from headrace.quality.partitions import check_partition_key
from headrace.warehouse.connection import open_warehouse

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class PublishedPartition:
    """A partition's file.

    Attributes:
        path: ``<folder>/<partition_key>.parquet``.
        rows: Rows in it, at least 1.
        sha256: Of the file's bytes; the same rows give the same bytes.
        changed: Whether the file was replaced; an unchanged one keeps its modification time.
    """

    path: Path
    rows: int
    sha256: str
    changed: bool


def publish_partition(
    warehouse: Path,
    relation: str,
    partition_key: str,
    folder: Path,
    *,
    partition_column: str = "partition_key",
    order_by: Sequence[str] = (),
) -> PublishedPartition:
    """Write the rows of one partition to ``<folder>/<partition_key>.parquet``.

    The rows go to a hidden file beside it, which is flushed to disk, read back and only then renamed: whoever
    lists the folder sees the old partition, the new one or none, never a part of one. Its content is kept first, under
    its digest in the hidden ``.versions/``, and stays there when the partition is published anew.

    Args:
        warehouse: The DuckDB file; opened read-only.
        relation: ``schema.table``.
        partition_key: For example ``2013-01``.
        folder: Where the partitions of this dataset are published; created.
        partition_column: The column that holds the partition key.
        order_by: Columns that order the rows; all columns where empty. Give the key when the table has one.

    Raises:
        ConfigurationError: No such table or column.
        NoResultsError: The partition has no rows.
        PublishingError: It could not be written whole, for example for a full disk; nothing changed.
        WarehouseLockedError: Another process holds the warehouse.
    """
    check_partition_key(partition_key)
    folder.mkdir(parents=True, exist_ok=True)
    _remove_stale_files(folder)
    path = folder / f"{partition_key}.parquet"
    partial = folder / f".{partition_key}.parquet.{socket.gethostname()}.{os.getpid()}.partial"
    try:
        with open_warehouse(warehouse, read_only=True) as connection:
            rows = _copy_partition(connection, relation, partition_key, partial, partition_column, order_by)
        sha256 = digest_file(partial)
        changed = not path.is_file() or digest_file(path) != sha256
        keep_content(folder, partial if changed else path, sha256)
        if changed:
            rename_durably(partial, path)
    except OSError as error:
        raise _publishing_error(path, error) from error
    finally:
        partial.unlink(missing_ok=True)
    return PublishedPartition(path, rows, sha256, changed)


def _copy_partition(
    connection: "duckdb.DuckDBPyConnection",
    relation: str,
    partition_key: str,
    partial: Path,
    partition_column: str,
    order_by: Sequence[str],
) -> int:
    import duckdb

    where = f"from {quote_relation(relation)} where {quote_identifier(partition_column)} = ?"
    order = ", ".join(quote_identifier(column) for column in order_by) or "all"
    connection.execute("set threads = 1")  # one writer: the same rows, the same row groups, the same bytes
    try:
        rows = _count(connection, f"select count(*) {where}", [partition_key])
        if not rows:
            raise NoResultsError(
                f"{relation} has no rows of partition {partition_key}: an empty partition is not published",
                relation=relation,
                partition_key=partition_key,
            )
        target = quote_literal(str(partial))
        connection.execute(
            f"copy (select * {where} order by {order}) to {target} (format parquet, compression snappy)",
            [partition_key],
        )
        written = _count(connection, "select count(*) from read_parquet(?)", [str(partial)])
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        raise ConfigurationError(
            f"partition {partition_key} of {relation} cannot be read: {str(error).splitlines()[0]}", relation=relation
        ) from error
    except duckdb.Error as error:
        raise _publishing_error(partial, error) from error
    if written != rows:
        raise PublishingError(f"{partial} holds {written:,} rows of {rows:,} after writing: nothing was published")
    return rows


def _remove_stale_files(folder: Path) -> None:
    """Remove what processes of this machine left behind when they were killed."""
    stale = re.compile(rf"\..+\.parquet\.{re.escape(socket.gethostname())}\.(\d+)\.partial")
    for path in (*folder.glob(".*.partial"), *(folder / KEPT_FOLDER).glob(".*.partial")):
        match = stale.fullmatch(path.name)
        if match and not is_alive(int(match[1]), started=None):
            path.unlink(missing_ok=True)


def _publishing_error(path: Path, error: Exception) -> PublishingError:
    return PublishingError(
        f"{path} could not be written: {error}. What was published before is untouched", path=str(path)
    )


def _count(connection: "duckdb.DuckDBPyConnection", query: str, values: list[str]) -> int:
    row = connection.execute(query, values).fetchone()
    return int(row[0]) if row else 0
