"""What is read from the ledger: the inbox, an incident, results, verdicts, quarantine; orchestration interpreter.

Every function opens its own connection and returns the plain values of :mod:`headrace.ledger.views`. Where one takes
``dag_ids``, None is no condition and an empty sequence matches nothing: a user who may read no DAG.
"""

from headrace.ledger.query_incident import incident_dag_ids, load_incident
from headrace.ledger.query_incidents import MOST, ORDERS, list_incidents
from headrace.ledger.query_overview import list_facets, load_overview
from headrace.ledger.query_quarantine import list_quarantine, load_quarantine
from headrace.ledger.query_results import list_results
from headrace.ledger.query_verdicts import list_partition_verdicts, list_verdict_history

__all__ = [
    "MOST",
    "SORTS",
    "incident_dag_ids",
    "list_facets",
    "list_incidents",
    "list_partition_verdicts",
    "list_quarantine",
    "list_results",
    "list_verdict_history",
    "load_incident",
    "load_overview",
    "load_quarantine",
]

SORTS = tuple(ORDERS)
