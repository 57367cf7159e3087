"""Which column of a model is made from which, read from its compiled SQL; pure, orchestration interpreter.

Whatever dialect dbt compiles to, sqlglot reads. It is imported when a query is traced: it takes a second.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from headrace.quality.identifiers import name_relation

DIRECT, INDIRECT = "direct", "indirect"


@dataclass(frozen=True, order=True)
class ColumnEdge:
    """One column that another is made from.

    Attributes:
        name: The column of the model; ``""`` of an edge that is ``indirect``, for it decides of every column.
        from_relation: ``schema.table`` in lower case.
        from_name: Its column.
        how: ``direct``: its values are used. ``indirect``: it decides which rows there are, in a join or a filter.
    """

    name: str
    from_relation: str
    from_name: str
    how: str = DIRECT


@dataclass(frozen=True)
class ColumnTrace:
    """What a query says of its columns.

    Attributes:
        columns: Their names, in order; empty where there is a problem.
        edges: What they are made from.
        expressions: Column to a digest of how it is computed, through every subquery, whatever the formatting.
        rows: Digest of what decides which rows there are: joins, filters, groups.
        problem: Why it could not be traced; None where it was.
    """

    columns: tuple[str, ...] = ()
    edges: frozenset[ColumnEdge] = frozenset()
    expressions: Mapping[str, str] = field(default_factory=dict)
    rows: str = ""
    problem: str | None = None


def trace_columns(sql: str, schema: Mapping[str, Mapping[str, str]], dialect: str = "duckdb") -> ColumnTrace:
    """Trace the columns of one query to the tables that it reads.

    Args:
        sql: A ``select``, as dbt compiled it.
        schema: ``schema.table``, in lower case, to its columns and their types. Of a table that is not in it, neither
            ``*`` nor, beside another one, a column without a table's name can be resolved.
        dialect: dbt's name of the adapter.

    Returns:
        The trace; of a query that cannot be traced one with a problem, for which nothing else is known.
    """
    from sqlglot import exp, parse_one
    from sqlglot.errors import SqlglotError
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope

    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    try:
        tree = parse_one(sql, dialect=dialect)
        for table in tree.find_all(exp.Table):
            table.set("catalog", None)  # the database's name says nothing: a sample has another
        nested: dict[str, Any] = {}
        for relation, columns in schema.items():
            if not columns:
                continue
            database, _, name = relation.rpartition(".")
            nested.setdefault(database, {})[name] = dict(columns)
        _add_tables_beside(tree, nested)
        qualified = qualify(tree, schema=nested, dialect=dialect, quote_identifiers=False, identify=False)
        scope = build_scope(qualified)
        if scope is None or not isinstance(qualified, exp.Query):
            return ColumnTrace(problem="it is no query")
        names = tuple(qualified.named_selects)
        if "*" in names or not names:
            return ColumnTrace(problem="the columns of a table that it selects * from are not known")
        edges: set[ColumnEdge] = set()
        expressions: dict[str, str] = {}
        for name in names:
            leaves, said = _trace_column(name, scope, dialect)
            edges |= {ColumnEdge(name, relation, column) for relation, column in leaves}
            expressions[name] = _digest(said)
        edges |= {ColumnEdge("", relation, column, INDIRECT) for relation, column in _trace_rows(scope)}
        return ColumnTrace(names, frozenset(edges), expressions, _digest([_describe_rows(qualified, dialect)]))
    except (SqlglotError, KeyError, ValueError, AttributeError, RecursionError) as error:
        return ColumnTrace(problem=f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")


def _add_tables_beside(tree: Any, schema: dict[str, Any]) -> None:
    """Add the tables that the project does not know, with the columns that a subquery of nothing else uses of them."""
    from sqlglot import exp

    for select in tree.find_all(exp.Select):
        source = select.args.get("from_")
        table = source.this if source is not None else None
        if select.args.get("joins") or not isinstance(table, exp.Table) or not table.db:
            continue
        if table.name.lower() not in schema.get(table.db.lower(), {}):
            own = [column for column in select.find_all(exp.Column) if column.find_ancestor(exp.Select) is select]
            names = {column.name.lower(): "unknown" for column in own if column.table in ("", table.alias_or_name)}
            if names:
                schema.setdefault(table.db.lower(), {})[table.name.lower()] = names


def _trace_column(name: str, scope: Any, dialect: str | None) -> tuple[set[tuple[str, str]], list[str]]:
    """Return the tables' columns that one output column comes from, and each expression on the way."""
    found: set[tuple[str, str]] = set()
    said: list[str] = []
    seen: set[tuple[int, str]] = set()
    stack = [(scope, name)]
    while stack:
        at, column = stack.pop()
        if (id(at), column) in seen:
            continue
        seen.add((id(at), column))
        for select in _selects(at):
            expression = _find_output(select, column, at)
            if expression is None:
                continue
            said.append(expression.unalias().sql(dialect=dialect, comments=False))
            said += [each.sql(dialect=dialect, comments=False) for each in select.expression.args.get("windows") or ()]
            for source, inner in _columns_of(expression, select):
                if isinstance(source, str):
                    found.add((source, inner))
                else:
                    stack.append((source, inner))
    return found, said


def _trace_rows(scope: Any) -> set[tuple[str, str]]:
    """Return the tables' columns that decide which rows there are."""
    from sqlglot import exp

    found: set[tuple[str, str]] = set()
    for at in scope.traverse():
        tree = at.expression
        parts = ["where", "group", "having", "qualify", "distinct", "limit", "offset"]
        parts += ["order"] if _picks_by_order(tree) else []
        clauses = [tree.args.get(part) for part in parts]
        for clause in (*clauses, *(tree.args.get("joins") or ())):
            if not isinstance(clause, exp.Expression):
                continue
            for source, inner in _columns_of(clause, at):
                if isinstance(source, str):
                    found.add((source, inner))
                else:
                    leaves, _ = _trace_column(inner, source, None)
                    found |= leaves
    return found


def _describe_rows(query: Any, dialect: str) -> str:
    """Return the query without what it computes: all that decides which rows there are, each clause in its place.

    What is selected stays where rows are told apart by it; an order goes where nothing is picked by it.
    """
    from sqlglot import exp

    query = query.copy()
    for tree in list(query.find_all(exp.Query)):
        if tree.args.get("order") and not _picks_by_order(tree):
            tree.set("order", None)
        if isinstance(tree, exp.Select) and not tree.args.get("distinct") and not _is_side_of_distinct(tree):
            tree.set("expressions", [exp.Star()])
    return str(query.sql(dialect=dialect, comments=False))


def _picks_by_order(tree: Any) -> bool:
    return any(tree.args.get(part) for part in ("limit", "offset", "distinct"))


def _is_side_of_distinct(select: Any) -> bool:
    """Return whether it is a side of a set operation that holds equal rows for one: all but UNION ALL."""
    from sqlglot import exp

    parent = select.parent
    while isinstance(parent, exp.Subquery | exp.SetOperation):
        if isinstance(parent, exp.SetOperation) and (parent.args.get("distinct") or not isinstance(parent, exp.Union)):
            return True
        parent = parent.parent
    return False


def _selects(scope: Any) -> Iterator[Any]:
    """Give a scope's selects: of a union each of its sides."""
    if scope.set_operation_scopes:
        for each in scope.set_operation_scopes:
            yield from _selects(each)
    else:
        yield scope


def _find_output(select: Any, column: str, of: Any) -> Any:
    """Return the expression of an output column; in a union's other sides it is the one at the same place."""
    names = of.expression.named_selects
    outputs = select.expression.selects
    if column in names and len(outputs) == len(names):
        return outputs[names.index(column)]
    return None


def _columns_of(expression: Any, scope: Any) -> Iterator[tuple[Any, str]]:
    """Give the source (a table's name, or an inner scope) and the name of each column in an expression."""
    from sqlglot import exp
    from sqlglot.optimizer.scope import Scope

    for column in expression.find_all(exp.Column):
        source = scope.sources.get(column.table)
        if isinstance(source, exp.Table):
            yield name_relation(".".join(part for part in (source.db, source.name) if part)), column.name.lower()
        elif isinstance(source, Scope):
            yield source, column.name
    for query in expression.find_all(exp.Query):
        for inner in scope.subquery_scopes:
            if inner.expression is query or inner.expression is query.unnest():
                for name in inner.expression.named_selects:
                    yield inner, name


def _digest(said: list[str]) -> str:
    return sha256("\n".join(sorted(said)).encode()).hexdigest()
