"""Addresses of the inbox's pages and of what they point at in Airflow; api-server."""

import json
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from airflow.api_fastapi.app import API_ROOT_PATH
from airflow.configuration import conf
from fastapi import Request

from headrace.ledger.views import TaskTry
from headrace.ui.formatting import path_segment, safe_link
from headrace.ui.paths import API_PREFIX

INBOX_ROUTE = "data-quality"
"""``url_route`` of the inbox in Airflow's navigation, see the plugin."""


@dataclass(frozen=True)
class Docs:
    """A dbt node, and where its documentation is served; None where it is not."""

    name: str
    address: str | None


class Links:
    """Addresses under the prefix that the request came by.

    Attributes:
        base: Path of the inbox, for example ``/headrace`` or ``/team/headrace``.
        airflow: Path of Airflow, without a slash at its end: empty, or ``/team``.
    """

    def __init__(self, request: Request) -> None:
        self.base = str(request.scope.get("root_path", "")).rstrip("/")
        self.airflow = API_ROOT_PATH.rstrip("/")
        self.api = f"{self.base}{API_PREFIX}"

    def static(self, name: str) -> str:
        return f"{self.base}/static/{name}"

    def incidents(self, **query: object) -> str:
        """Return the address of the list; conditions that are None, empty or False are left out."""
        return f"{self.base}/incidents{_encode(query)}"

    def incident(self, incident_id: int) -> str:
        return f"{self.base}/incidents/{incident_id}"

    def consequences(self, incident_id: int) -> str:
        return f"{self.incident(incident_id)}/consequences"

    def quarantines(self, **query: object) -> str:
        return f"{self.base}/quarantine{_encode(query)}"

    def quarantine(self, quarantine_id: int) -> str:
        return f"{self.base}/quarantine/{quarantine_id}"

    def models(self) -> str:
        return f"{self.base}/models"

    def model(self, name: str, **query: object) -> str:
        return f"{self.base}/models/{path_segment(name)}{_encode(query)}"

    def model_version(self, version: str) -> str:
        """Return the address of ``<model>@<number>`` on its model's page."""
        name, _, number = version.rpartition("@")
        return f"{self.model(name)}#v{path_segment(number)}"

    def lineage(self, dataset: str = "", partition_key: str = "", direction: str = "both") -> str:
        shown = None if direction == "both" else direction
        return f"{self.base}/lineage{_encode({'dataset': dataset, 'partition_key': partition_key, 'direction': shown})}"

    def compare(self, name: str, a: int, b: int) -> str:
        return f"{self.base}/models/{path_segment(name)}/compare?{urlencode({'a': a, 'b': b})}"

    def history(self, dag_id: str, dataset: str, partition_key: str) -> str:
        return (
            f"{self.base}/dags/{path_segment(dag_id)}?{urlencode({'dataset': dataset, 'partition_key': partition_key})}"
        )

    def inbox(self, address: str) -> str:
        """Return where Airflow shows a page of the inbox whole, for a link out of a tab of a run."""
        return f"{self.airflow}/plugin/{INBOX_ROUTE}{address}"

    def run(self, dag_id: str, run_id: str) -> str:
        return f"{self.airflow}/dags/{path_segment(dag_id)}/runs/{path_segment(run_id)}"

    def log(self, task: TaskTry) -> str:
        mapped = f"/mapped/{task.map_index}" if task.map_index >= 0 else ""
        address = f"{self.run(task.dag_id, task.run_id)}/tasks/{path_segment(task.task_id)}{mapped}"
        return f"{address}?try_number={task.try_number}"

    def docs(self, docs: str | None) -> Docs | None:
        """Return the documentation of a dbt node: an address of its own, or the page in Cosmos' dbt docs."""
        if not docs:
            return None
        own = safe_link(docs)
        if own:
            return Docs(own, own)
        slug = _find_dbt_docs()
        kind = docs.partition(".")[0]
        address = f"{self.airflow}/cosmos/{path_segment(slug)}/dbt_docs_index.html#!/{kind}/{docs}" if slug else None
        return Docs(docs, address)

    def data_docs(self, tool: str) -> str | None:
        """Return where Great Expectations' Data Docs are served: ``[headrace] data_docs_url``."""
        return safe_link(conf.get("headrace", "data_docs_url", fallback="")) if tool == "gx" else None


def _encode(query: dict[str, object]) -> str:
    written = urlencode({name: value for name, value in query.items() if value not in (None, "", False)})
    return f"?{written}" if written else ""


def _find_dbt_docs() -> str | None:
    """Return the name under which Cosmos serves the first project's dbt docs, where they were generated."""
    try:
        projects = json.loads(conf.get("cosmos", "dbt_docs_projects", fallback="") or "{}")
    except ValueError:
        return None
    for slug, project in projects.items() if isinstance(projects, dict) else ():
        folder = str(project.get("dir") or "")
        if folder and ("://" in folder or Path(folder, project.get("index") or "index.html").is_file()):
            return str(slug)
    return None
