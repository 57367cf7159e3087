"""Distinct values of an indexed column, by jumping from one to the next; orchestration interpreter."""

from typing import Any

from sqlalchemy import Select, func, select


def select_distinct(column: Any) -> Select[Any]:
    """Select the values of a column that an index begins with, in order and without NULL.

    Both databases would read every row of the index for ``SELECT DISTINCT``; this reads one a value.
    """
    first = select(func.min(column).label("value"))
    found = first.cte(f"distinct_{column.name}", recursive=True)
    following = select(func.min(column)).where(column > found.c.value).scalar_subquery()
    found = found.union_all(select(following).where(found.c.value.is_not(None)))
    return select(found.c.value).where(found.c.value.is_not(None))
