"""What reading a full ledger costs: run in a process of its own, so that its memory is the reader's.

``python -m benchmarks.ledger_read URL RESULTS INCIDENTS`` prints JSON.
"""

import json
import random
import resource
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import select

from benchmarks.ledger_fill import PARTITIONS, Size, dag_of
from headrace.ledger import queries
from headrace.ledger.database import Ledger, open_ledger
from headrace.ledger.query_cursor import Cursor, encode_cursor
from headrace.ledger.schema import incident
from headrace.ledger.views import IncidentFilter

EVERY = ("open", "acknowledged", "snoozed", "resolved")
ROUNDS = 12
INCIDENT_PAGES = 300


def build_filters(size: Size, chance: random.Random) -> Mapping[str, IncidentFilter]:
    """Build one filter of each kind, with other values each time."""
    dataset = f"dataset_{chance.randrange(size.datasets):03d}"
    number = chance.randrange(997)
    owner, partition_key = f"team-{chance.randrange(40):02d}", chance.choice(PARTITIONS)
    return {
        "default": IncidentFilter(),
        "every state": IncidentFilter(states=EVERY),
        "resolved": IncidentFilter(states=("resolved",)),
        "snoozed": IncidentFilter(states=("snoozed",)),
        "consequences too": IncidentFilter(consequences=True),
        "critical": IncidentFilter(severities=("critical",)),
        "owner": IncidentFilter(owners=(owner,)),
        "owner, every state": IncidentFilter(states=EVERY, owners=(owner,)),
        "dataset": IncidentFilter(datasets=(dataset,)),
        "three datasets, every state": IncidentFilter(
            states=EVERY, datasets=tuple(f"dataset_{chance.randrange(size.datasets):03d}" for _ in range(3))
        ),
        "tool, every state": IncidentFilter(states=EVERY, tools=("tfma",)),
        "assignee": IncidentFilter(assignees=(f"person-{chance.randrange(25):02d}",)),
        "partition": IncidentFilter(partition_key=partition_key),
        "partition, every state": IncidentFilter(states=EVERY, partition_key=partition_key),
        "three DAGs": IncidentFilter(dag_ids=[dag_of(chance.randrange(40)) for _ in range(3)]),
        "all DAGs, every state": IncidentFilter(states=EVERY, dag_ids=[dag_of(number) for number in range(40)]),
        "text: a common word": IncidentFilter(text="mph"),
        "text: a common word, every state": IncidentFilter(states=EVERY, text="Rows"),
        "text: a column": IncidentFilter(text=f"measure_{number:03d}"),
        "text: a column, every state": IncidentFilter(states=EVERY, text=f"measure_{number:03d}"),
        "text: two words, every state": IncidentFilter(states=EVERY, text=f"{dataset} measure_{number:03d}"),
        "text: nothing has it, every state": IncidentFilter(states=EVERY, text="100%_of zebras"),
        "everything at once": IncidentFilter(
            states=EVERY, severities=("critical", "warning"), owners=(owner,), tools=("gx", "dbt"), text="mph above"
        ),
    }


def measure(url: str, size: Size) -> dict[str, Any]:
    """Measure; pairs of seconds. The first request of each kind is not counted: a server is warm."""
    chance = random.Random(7)
    with open_ledger(url if "://" in url else Path(url)) as ledger:
        cursors = _load_cursors(ledger, size, chance)
        for wanted in build_filters(size, chance).values():
            queries.list_incidents(ledger, wanted)
        queries.load_incident(ledger, 1)
        pages: dict[str, list[tuple[float, float]]] = {}
        for _ in range(ROUNDS):
            for name, wanted in build_filters(size, chance).items():
                sort = chance.choice(queries.SORTS)
                cursor = chance.choice([None, *cursors[sort]])
                pages.setdefault(name, []).append(
                    _time(lambda w=wanted, s=sort, c=cursor: queries.list_incidents(ledger, w, sort=s, cursor=c))
                )
        incidents = [
            _time(lambda: queries.load_incident(ledger, chance.randrange(size.incidents) + 1))
            for _ in range(INCIDENT_PAGES)
        ]
        others = {
            "facets": [_time(lambda: queries.list_facets(ledger)) for _ in range(ROUNDS)],
            "facets of three DAGs": [
                _time(lambda: queries.list_facets(ledger, dag_ids=["dag_01", "dag_02", "dag_03"]))
                for _ in range(ROUNDS)
            ],
            "overview": [_time(lambda: queries.load_overview(ledger)) for _ in range(ROUNDS)],
            "results of a run": [
                _time(lambda: queries.list_results(ledger, dag_id="dag_07", run_id="scheduled__00003"))
                for _ in range(ROUNDS)
            ],
            "verdicts of a DAG": [
                _time(lambda: queries.list_partition_verdicts(ledger, dag_id="dag_07")) for _ in range(ROUNDS)
            ],
        }
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"pages": pages, "incidents": incidents, "others": others, "peak_rss_mb": peak}


def _time(do: Callable[[], object]) -> tuple[float, float]:
    """Return seconds of wall and of this process's processor time."""
    wall, processor = time.perf_counter(), time.process_time()
    do()
    return time.perf_counter() - wall, time.process_time() - processor


def _load_cursors(ledger: Ledger, size: Size, chance: random.Random) -> dict[str, list[str]]:
    """Return where pages may end, deep in the list."""
    ids = [chance.randrange(size.incidents) + 1 for _ in range(20)]
    with ledger.connect() as connection:
        rows = connection.execute(select(incident).where(incident.c.id.in_(ids))).all()
    return {
        "severity": [encode_cursor(Cursor("severity", row.severity_rank, row.last_seen, row.id)) for row in rows],
        "newest": [encode_cursor(Cursor("newest", 0, row.last_seen, row.id)) for row in rows],
        "oldest": [encode_cursor(Cursor("oldest", 0, row.opened_at, row.id)) for row in rows],
    }


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], Size(*(int(number) for number in sys.argv[2:4])))))
