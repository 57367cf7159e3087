"""Airflow's REST API, as far as the command line needs it."""

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx

from headrace.exceptions import HeadraceError

FINISHED = frozenset({"success", "failed"})


class AirflowApiError(HeadraceError):
    """Airflow refused a request, or could not be reached."""


@dataclass(frozen=True)
class TaskState:
    """A task instance as Airflow reports it: duration in seconds, start and end as ISO 8601."""

    task_id: str
    state: str
    try_number: int
    duration: float | None
    start: str | None
    end: str | None


class AirflowApi:
    """A client of one Airflow.

    Args:
        url: Base address, with its prefix if it has one.
        token: Access token; None: ask a SimpleAuthManager in which everyone is admin for one.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._token = token
        # The API is on this machine or one that was named: no proxy from the environment.
        self._client = httpx.Client(base_url=self.url, timeout=30, trust_env=False)

    def is_healthy(self) -> bool:
        """Return whether every component that Airflow monitors is healthy."""
        try:
            health = self._client.get("/api/v2/monitor/health", timeout=10)
        except httpx.HTTPError:
            return False
        if health.status_code != 200:
            return False
        wanted = ("metadatabase", "scheduler", "dag_processor", "triggerer")
        return all((health.json().get(part) or {}).get("status") == "healthy" for part in wanted)

    def wait_until_healthy(self, timeout_seconds: float, check: Callable[[], None] = lambda: None) -> None:
        """Wait until every component is healthy; ``check`` is called meanwhile and may raise.

        Raises:
            AirflowApiError: The time is up.
        """
        deadline = time.monotonic() + timeout_seconds
        while not self.is_healthy():
            check()
            if time.monotonic() > deadline:
                raise AirflowApiError(f"Airflow at {self.url} is not healthy after {timeout_seconds:.0f} s.")
            time.sleep(0.5)

    def warm_up(self) -> None:
        """Have the api-server build the API of tasks, which takes seconds and else makes the first task wait."""
        with contextlib.suppress(httpx.HTTPError):  # then the first task asks for it
            self._client.get("/execution/health", timeout=60)

    def wait_for_dag(self, dag_id: str, timeout_seconds: float = 120) -> None:
        """Wait until a DAG is parsed and can be triggered.

        Raises:
            AirflowApiError: It cannot be imported (the message holds Airflow's), or does not appear.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            dags = {dag["dag_id"]: dag for dag in self._get("/api/v2/dags", limit=200, exclude_stale=False)["dags"]}
            if dag_id in dags and not dags[dag_id]["is_stale"]:
                return
            errors = self.import_errors()
            if errors and (dag_id in dags or time.monotonic() > deadline - timeout_seconds + 15):
                told = "\n".join(f"{file}: {trace.strip().splitlines()[-1]}" for file, trace in errors.items())
                raise AirflowApiError(f"DAG {dag_id} cannot be loaded:\n{told}")
            if time.monotonic() > deadline:
                raise AirflowApiError(f"There is no DAG {dag_id!r}; there are: {', '.join(self.dag_ids()) or 'none'}.")
            time.sleep(0.5)

    def dag_ids(self) -> list[str]:
        return [dag["dag_id"] for dag in self._get("/api/v2/dags", limit=200)["dags"]]

    def import_errors(self) -> dict[str, str]:
        """Return the stack trace of each DAG file that cannot be imported, by file."""
        errors = self._get("/api/v2/importErrors")["import_errors"]
        return {error["filename"]: error["stack_trace"] for error in errors}

    def unpause(self, dag_id: str) -> None:
        self._send("PATCH", f"/api/v2/dags/{quote(dag_id)}", {"is_paused": False})

    def trigger(self, dag_id: str, partition_key: str | None) -> str:
        """Start a DAG run and return its id.

        The id is ours, so that a request that is repeated because no answer came cannot start a second run.
        """
        run_id = f"manual__{partition_key or 'run'}__{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"
        body = {"logical_date": None, "partition_key": partition_key, "dag_run_id": run_id}
        self._request("POST", f"/api/v2/dags/{quote(dag_id)}/dagRuns", json=body, conflict_is_success=True)
        return run_id

    def clear(self, dag_id: str, run_id: str, *tasks: tuple[str, int]) -> int:
        """Clear tasks of a run and everything downstream of them, so that they run again.

        Args:
            dag_id, run_id: The run.
            tasks: Id and map index of each; -1 where it is not mapped.

        Returns:
            How many tasks run again.
        """
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": [task_id if map_index < 0 else [task_id, map_index] for task_id, map_index in tasks],
            "include_downstream": True,
            "only_failed": False,
            "reset_dag_runs": True,
        }
        cleared = self._send("POST", f"/api/v2/dags/{quote(dag_id)}/clearTaskInstances", body)
        return int(cleared["total_entries"])

    def runs(self, dag_id: str, **filters: str) -> list[dict[str, Any]]:
        """Return a DAG's runs, newest first; ``~`` stands for every DAG."""
        path = f"/api/v2/dags/{quote(dag_id)}/dagRuns"
        return list(self._get(path, limit=100, order_by="-run_after", **filters)["dag_runs"])

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        return self._get(f"/api/v2/dags/{quote(dag_id)}/dagRuns/{quote(run_id)}")

    def tasks(self, dag_id: str, run_id: str) -> list[TaskState]:
        """Return the states of a run's tasks, in the order in which they started."""
        path = f"/api/v2/dags/{quote(dag_id)}/dagRuns/{quote(run_id)}/taskInstances"
        found = [
            TaskState(
                task_id=task["task_id"],
                state=task["state"] or "waiting",
                try_number=task["try_number"],
                duration=task["duration"],
                start=task["start_date"],
                end=task["end_date"],
            )
            for task in self._get(path, limit=1000)["task_instances"]
        ]
        return sorted(found, key=lambda task: (task.start is None, task.start or "", task.task_id))

    def task_error(self, dag_id: str, run_id: str, task: TaskState) -> str | None:
        """Return the error that ended a task, as its log has it; None where the log has none."""
        path = f"/api/v2/dags/{quote(dag_id)}/dagRuns/{quote(run_id)}/taskInstances/{quote(task.task_id)}"
        content = self._get(f"{path}/logs/{max(task.try_number, 1)}", full_content=True)["content"]
        for line in reversed(content):
            detail = line.get("error_detail") if isinstance(line, dict) else None
            if detail:
                return f"{detail[0]['exc_type']}: {detail[0]['exc_value']}"
        return None

    def _get(self, path: str, **params: Any) -> dict[str, Any]:
        return self._request("GET", path, params=params)

    def _send(self, method: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._request(method, path, json=body)

    def _request(self, method: str, path: str, *, conflict_is_success: bool = False, **kwargs: Any) -> dict[str, Any]:
        """Send a request; try again where SQLite was busy (500) or the server not yet up, not where it refused."""
        for attempt in range(6):
            try:
                answer = self._client.request(method, path, headers=self._headers(), **kwargs)
            except httpx.TransportError as error:
                if attempt == 5:
                    raise AirflowApiError(f"{self.url} cannot be reached: {error}") from error
                time.sleep(1)
                continue
            if answer.status_code < 400:
                return dict(answer.json())
            if answer.status_code == 409 and attempt and conflict_is_success:
                return {}
            if answer.status_code < 500 or attempt == 5:
                raise AirflowApiError(f"Airflow refused {method} {path} ({answer.status_code}): {_detail(answer)}")
            time.sleep(1)
        raise AssertionError("unreachable")

    def _headers(self) -> dict[str, str]:
        if self._token is None:
            answer = self._client.get("/auth/token")
            if answer.status_code >= 400:
                raise AirflowApiError(
                    f"{self.url} wants a login: give an access token in AIRFLOW_API_TOKEN ({answer.status_code})."
                )
            self._token = answer.json()["access_token"]
        return {"Authorization": f"Bearer {self._token}"}


def _detail(answer: httpx.Response) -> str:
    """Return what Airflow says about a refusal."""
    try:
        return str(answer.json()["detail"])[:1000]
    except (ValueError, KeyError, TypeError):
        return answer.text[:1000]
