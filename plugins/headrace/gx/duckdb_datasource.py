"""Teaches Great Expectations the data source type "duckdb"; orchestration interpreter.

The only module of Headrace that imports GX when it is imported, because it defines subclasses of its classes: import it
inside a function. Afterwards ``context.data_sources.add_duckdb(name, connection_string="duckdb:///flights.duckdb")``
works in any GX context, and expectations run pushed down into DuckDB. GX keeps one connection for a whole validation,
so that the file is opened once. Not supported on this dialect by GX: expectations on regular expressions and on types.
"""

# mypy: disable-error-code="misc, has-type, unused-ignore"
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal

import sqlalchemy
from great_expectations.compatibility import pydantic
from great_expectations.datasource.fluent import SQLDatasource
from great_expectations.datasource.fluent.sql_datasource import QueryAsset, TableAsset
from great_expectations.execution_engine import SqlAlchemyExecutionEngine

EngineType = type[SqlAlchemyExecutionEngine]


class DuckdbExecutionEngine(SqlAlchemyExecutionEngine):
    """Runs expectations in DuckDB over one connection that stays open.

    Attributes:
        last_statement: What was run last, as SQLAlchemy has it: GX builds it, and keeps it to itself.
    """

    last_statement: Any = None

    def execute_query(self, selectable: Any) -> Any:
        self.last_statement = selectable
        return super().execute_query(selectable)

    @contextmanager
    def get_connection(self) -> Generator[sqlalchemy.Connection, None, None]:
        if self._connection is None:
            self._connection = self.engine.connect()
        try:
            yield self._connection
        except BaseException:
            self._connection.rollback()  # or every later expectation would fail with this one's aborted transaction
            raise

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        super().close()


class DuckdbDatasource(SQLDatasource):
    """A DuckDB file as a fluent data source.

    Args:
        name: Name of the data source.
        connection_string: ``duckdb:///relative/path.duckdb`` or ``duckdb:////absolute/path.duckdb``.
    """

    asset_types: ClassVar[list[Any]] = [TableAsset, QueryAsset]

    type: Literal["duckdb"] = "duckdb"  # type: ignore[assignment]  # how GX names a type of data source
    connection_string: str = pydantic.Field(regex="^duckdb:")

    @property
    def execution_engine_type(self) -> EngineType:
        return DuckdbExecutionEngine
