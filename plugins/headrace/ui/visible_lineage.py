"""Lineage and impact as far as a person may read the DAGs that made it; api-server.

What is not readable is answered as what is not there, and what lies behind it is joined by an edge without a run.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fastapi import HTTPException, status

from headrace.exceptions import UnknownDatasetError
from headrace.ledger.database import Ledger
from headrace.ledger.impact import Impact, find_impact
from headrace.ledger.query_owners import (
    Owners,
    list_recorded_datasets,
    map_datasets_to_dags,
    map_models_to_dags,
    map_versions_to_dags,
)
from headrace.ledger.query_versions import UNTOLD, LineageView, load_lineage
from headrace.ui.security import Access


def load_visible_lineage(
    ledger: Ledger, access: Access, name: str, partition_key: str, *, upstream: bool = True, downstream: bool = True
) -> LineageView:
    """Load the lineage of a place; 404 where there is none that the user may read."""
    dag_ids = access.filter_dag_ids(ledger)
    try:
        view = load_lineage(ledger, name, partition_key, upstream=upstream, downstream=downstream)
    except UnknownDatasetError as error:
        raise _refuse(name, partition_key, None if dag_ids is not None else error) from None
    if dag_ids is None:
        return view
    with ledger.connect() as connection:
        owners = map_versions_to_dags(connection, view.versions.keys())
        models = map_models_to_dags(connection)
    shown = keep_lineage(view, set(dag_ids), owners, models)
    if not shown.start:
        raise _refuse(name, partition_key)
    return shown


def find_visible_impact(ledger: Ledger, access: Access, name: str, partition_key: str) -> Impact:
    """Find what a partition reaches; 404 where nothing is known of it that the user may read."""
    dag_ids = access.filter_dag_ids(ledger)
    if dag_ids is not None:
        with ledger.connect() as connection:
            if not _is_readable(map_datasets_to_dags(connection, [name]).get(name, ()), dag_ids):
                raise _refuse(name, partition_key)
    try:
        return find_impact_of(ledger, dag_ids, name, partition_key)
    except UnknownDatasetError as error:
        raise _refuse(name, partition_key, None if dag_ids is not None else error) from None


def find_impact_of(
    ledger: Ledger, dag_ids: Sequence[str] | None, name: str, partition_key: str, also: Sequence[str] = ()
) -> Impact:
    """Find what partitions of a dataset reach of these DAGs; None: of all.

    Raises:
        UnknownDatasetError: Nothing is known of such a dataset.
    """
    impact = find_impact(ledger, name, partition_key, also=also, dag_ids=dag_ids)
    if dag_ids is None:
        return impact
    with ledger.connect() as connection:
        owners, models = map_datasets_to_dags(connection, impact.datasets), map_models_to_dags(connection)
    return replace(
        impact,
        datasets=[each for each in impact.datasets if _is_readable(owners.get(each, ()), dag_ids)],
        models=[each for each in impact.models if set(models.get(each.model, ())) <= set(dag_ids)],
    )


def list_visible_datasets(ledger: Ledger, access: Access) -> list[str]:
    """List the datasets of which the user may read any content."""
    dag_ids = access.filter_dag_ids(ledger)
    with ledger.connect() as connection:
        names = list_recorded_datasets(connection)
        if dag_ids is None:
            return names
        owners = map_datasets_to_dags(connection, names)
    return [name for name in names if _is_readable(owners.get(name, ()), dag_ids)]


def keep_lineage(view: LineageView, readable: Collection[str], owners: Owners, models: Owners) -> LineageView:
    """Keep the data versions and runs of readable DAGs, and of models those that only readable DAGs push."""
    versions = {
        id_: {**row, "models": [each for each in row["models"] if _may_read_model(each["name"], models, readable)]}
        for id_, row in view.versions.items()
        if _is_readable(owners.get(id_, ()), readable)
    }
    runs = {id_: row for id_, row in view.runs.items() if row["dag_id"] in readable}
    return replace(
        view,
        start=[id_ for id_ in view.start if id_ in versions],
        versions=versions,
        runs=runs,
        edges=_join(view.edges, versions, runs),
    )


def _join(
    edges: Sequence[tuple[int, int, int]], versions: Collection[int], runs: Collection[int]
) -> list[tuple[int, int, int]]:
    """Return the edges between versions that are shown; a way through others is one edge, of a run that is untold."""
    told = {edge for edge in edges if edge[0] in versions and edge[2] in versions and edge[1] in runs}
    pairs = {(one, other) for one, _, other in told}
    below: dict[int, set[int]] = defaultdict(set)
    for one, _, other in edges:
        below[one].add(other)
    reached: dict[int, set[int]] = {}
    for one in sorted(below.keys() & set(versions)):
        ends: set[int] = set()
        for other in below[one]:
            if other not in versions and other not in reached:
                reached[other] = _reach(other, below, versions)
            ends |= {other} if other in versions else reached[other]
        told |= {(one, UNTOLD, end) for end in ends if end != one and (one, end) not in pairs}
    return sorted(told)


def _reach(start: int, below: Mapping[int, set[int]], versions: Collection[int]) -> set[int]:
    seen, waiting, found = {start}, [start], set[int]()
    while waiting:
        for other in below.get(waiting.pop(), ()):
            if other in versions:
                found.add(other)
            elif other not in seen:
                seen.add(other)
                waiting.append(other)
    return found


def _is_readable(owners: Collection[str], readable: Collection[str]) -> bool:
    return any(dag_id in readable for dag_id in owners)


def _may_read_model(version: str, models: Owners, readable: Collection[str]) -> bool:
    return all(dag_id in readable for dag_id in models.get(version.rpartition("@")[0], ()))


def _refuse(name: str, partition_key: str, error: Any = None) -> HTTPException:
    """Return the answer that nothing is known; hints are for who may read all there is."""
    place = f"{name}, partition {partition_key}" if partition_key else name
    return HTTPException(
        status.HTTP_404_NOT_FOUND, str(error) if error else f"No content of a dataset {place} is known."
    )
