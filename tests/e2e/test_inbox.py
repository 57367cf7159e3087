"""The inbox under a scheduler, on somebody else's project: what fails, what people decide, and what then runs again."""

import contextlib
import getpass
import json
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import pytest
import yaml
from tests.e2e.conftest import add_penguins, ask_headrace, run_headrace
from tests.integration.notifications.conftest import Hooks, hook_route

from headrace.cli.airflow_api import FINISHED, AirflowApi
from headrace.dbt.profiles import load_warehouse_path
from headrace.jobs.processes import find_marked, process_start_time
from headrace.settings import Settings, load_settings

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]

DATAOPS, TRAINING = "penguins_dataops", "penguin_training"
GATE, ROWS, BILL = "check_birds", "expect_table_row_count_to_be_between", "bill_length_mm"
BILL_LENGTH = {
    "type": "expect_column_values_to_be_between",
    "kwargs": {"column": BILL, "min_value": 25, "max_value": 70},
    "severity": "warning",
    "meta": {"quarantine": True, "quarantine_limit": 0.05, "unit": "mm"},
}
AT_THE_COMMAND_LINE = f"{getpass.getuser()} (command line)"
IN_THE_BROWSER = "Anonymous"
"""Whom Airflow's simple auth manager sees where everybody is admin."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of its own, for its landed files are spoilt; the main one has no more than a DAGs folder.

    Training is started by hand only, and a killed gate is tried again soon.
    """
    folder = add_penguins(tmp_path_factory.mktemp("inbox") / "project")
    dag_file = folder / "dags" / "penguins.py"
    text = dag_file.read_text().replace("PartitionedAssetTimetable(assets=PENGUIN_FEATURES)", "PartitionedAtRuntime()")
    dag_file.write_text(text.replace('"birds", ', '"birds", retry_delay=2, '))
    suite = folder / "penguins" / "expectations" / "expectations" / "birds.json"
    document = json.loads(suite.read_text())
    document["expectations"].append(BILL_LENGTH)
    suite.write_text(json.dumps(document))
    (folder / "notifications.yaml").write_text(yaml.safe_dump({"routes": [hook_route()]}))
    return folder


@pytest.fixture(scope="module")
def settings(project: Path) -> Settings:
    return load_settings(project)


@pytest.fixture(scope="module")
def penguins(project: Path) -> Settings:
    """Somebody else's project, compiled."""
    settings = load_settings(project / "penguins")
    done = run_headrace(project, "compile", "--project-dir", "penguins")
    assert done.returncode == 0, done.stderr
    return settings


@pytest.fixture(scope="module")
def hooks(airflow: AirflowApi) -> Iterator[Hooks]:
    """Whom the inbox tells: a web server, by a connection in Airflow's database."""
    server = Hooks()
    server.start()
    connection = {"connection_id": "hook", "conn_type": "http", "host": "127.0.0.1", "port": server.port}
    airflow._send("POST", "/api/v2/connections", connection)
    yield server
    server.stop()


@dataclass
class Inbox:
    """The inbox over REST, and what tests look at beside it."""

    api: AirflowApi
    penguins: Settings
    hooks: Hooks

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        return self.api._get(f"/headrace/api/v1/{path}", **params)

    def act(self, path: str, **body: Any) -> dict[str, Any]:
        return self.api._send("POST", f"/headrace/api/v1/{path}", body)

    def find(self, **wanted: str) -> dict[str, Any]:
        """Return the one incident that is so; in whatever state."""
        states = ["open", "acknowledged", "snoozed", "resolved"]
        rows = self.get("incidents", state=states, consequences=True)["rows"]
        (found,) = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
        return dict(found)

    def verdicts(self, dataset: str, partition_key: str) -> list[dict[str, Any]]:
        return list(self.get("verdicts", dataset=dataset, partition_key=partition_key)["verdicts"])

    def told(self, incident_id: int) -> list[str]:
        return [change for id_, change in self.hooks.changes if id_ == incident_id]

    def land(self, partition_key: str, text: str) -> None:
        """Leave a file where the partition's is to land."""
        file = self.penguins.landing_dir / "penguins" / f"{partition_key}.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def read(self, partition_key: str) -> str:
        """Return the partition's file as it should be."""
        return (self.penguins.project_dir / "landing" / "penguins" / f"{partition_key}.csv").read_text()

    def read_feature(self, partition_key: str, penguin_id: str, name: str) -> list[Any]:
        """Return a published value of a bird: of each row that it has."""
        file = self.penguins.features_dir / "penguin_features" / f"{partition_key}.parquet"
        rows = duckdb.sql(f"select {name} from read_parquet('{file}') where penguin_id = '{penguin_id}'").fetchall()
        return [value for (value,) in rows]

    def count_rows(self, partition_key: str) -> tuple[int, int]:
        """Count a partition's rows that go on and those that are held; nothing may run meanwhile."""
        aside = """select * from headrace_quarantine."field_notes.penguins" where _state = 'held'"""
        with duckdb.connect(str(load_warehouse_path(self.penguins.dbt_project_dir)), read_only=True) as warehouse:
            counts = [
                warehouse.execute(f"select count(*) from ({rows}) where partition_key = ?", [partition_key]).fetchall()
                for rows in ("select * from field_notes.penguins", aside)
            ]
        ((on,),), ((held,),) = counts
        return on, held

    def start(self, partition_key: str) -> str:
        self.api.wait_for_dag(DATAOPS)
        return self.api.trigger(DATAOPS, partition_key)

    def finish(self, run_id: str, dag_id: str = DATAOPS) -> str:
        wait_for(lambda: self.api.run(dag_id, run_id)["state"] in FINISHED, f"{run_id} ends", 600)
        return str(self.api.run(dag_id, run_id)["state"])

    def tries(self, run_id: str) -> dict[str, int]:
        return {task.task_id: task.try_number for task in self.api.tasks(DATAOPS, run_id)}

    def states(self, run_id: str) -> dict[str, str]:
        return {task.task_id: task.state for task in self.api.tasks(DATAOPS, run_id)}


@pytest.fixture(scope="module")
def inbox(airflow: AirflowApi, penguins: Settings, hooks: Hooks) -> Inbox:
    return Inbox(airflow, penguins, hooks)


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 240, pause: float = 0.3) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in {seconds} s: {what}"
        time.sleep(pause)


def spoil(text: str, penguin_id: str, name: str, value: str) -> str:
    """Return a file with one cell written over."""
    column = text.splitlines()[0].split(",").index(name)
    lines = [line.split(",") for line in text.splitlines()]
    (line,) = [cells for cells in lines if cells[0] == penguin_id]
    line[column] = value
    return "".join(",".join(cells) + "\n" for cells in lines)


def test_a_row_that_cannot_be_is_set_aside_and_comes_back_when_it_is_released(project: Path, inbox: Inbox) -> None:
    inbox.land("2007", spoil(inbox.read("2007"), "2007-001", BILL, "391"))
    run_id = inbox.start("2007")
    assert inbox.finish(run_id) == "success", inbox.states(run_id)

    incident = inbox.find(dataset="birds", column=BILL)
    assert incident["title"] == "2007 birds: 1 of 110 rows has bill_length_mm above 70 mm (391 at 2007-001)"
    assert (incident["state"], incident["severity"]) == ("open", "warning")
    (row,) = [row for row in ask_headrace(project, "incidents", "list")["rows"] if row["column"] == BILL]
    assert (row["id"], row["title"]) == (incident["id"], incident["title"])
    (aside,) = ask_headrace(project, "quarantine", "list")
    assert (aside["rows"], aside["total_rows"], aside["incident_id"]) == (1, 110, incident["id"])
    assert inbox.count_rows("2007") == (109, 1)
    assert inbox.read_feature("2007", "2007-001", BILL) == []
    assert inbox.read_feature("2007", "2007-002", BILL) == [39.5]
    assert inbox.verdicts("birds", "2007")[0]["decision"] == "warn"

    done = inbox.act(f"incidents/{incident['id']}/release", partition_keys=["2007"], reason="a very long bill")
    assert [(rerun["task_id"], rerun["state"]) for rerun in done["reruns"]] == [(GATE, "cleared")]
    assert inbox.finish(run_id) == "success", inbox.states(run_id)
    tries = inbox.tries(run_id)
    assert tries.pop("land") == 1
    assert set(tries.values()) == {2}, tries
    assert inbox.count_rows("2007") == (110, 0)
    assert inbox.read_feature("2007", "2007-001", BILL) == [391]

    detail = inbox.get(f"incidents/{incident['id']}")
    assert (detail["row"]["state"], detail["row"]["resolution"]) == ("resolved", "released")
    assert (detail["resolved_by"], detail["resolve_reason"]) == (IN_THE_BROWSER, "a very long bill")
    (released,) = detail["quarantine"]
    assert (released["state"], released["actor"]) == ("released", IN_THE_BROWSER)
    wait_for(lambda: inbox.told(incident["id"]) == ["opened", "resolved"], "people are told once of each", 60)


@pytest.fixture(scope="module")
def blocked(inbox: Inbox, settings: Settings) -> str:
    """A run that is red by a critical check, after two tries of its gate were killed: before and after it told."""
    lines = spoil(inbox.read("2008"), "2008-001", BILL, "396").splitlines(keepends=True)
    inbox.land("2008", "".join(lines[:91]))
    run_id = inbox.start("2008")
    checks = settings.task_folder(DATAOPS, run_id, GATE) / "checks.json"
    wait_for(lambda: inbox.states(run_id).get("land") == "success", "the partition lands")

    # Nobody can write to the ledger now: a gate that has set its row aside waits there.
    with lock(settings.ledger_path) as locked:
        wait_for(lambda: has_set_aside(checks), "the first try has set its row aside")
        kill_gate(inbox.api, run_id, 1)
        checks.unlink()
        wait_for(lambda: has_set_aside(checks), "the second try finds it aside")
        locked.rollback()
        wait_for(lambda: is_recorded(settings, run_id), "it has told the ledger", 60, pause=0.001)
        kill_gate(inbox.api, run_id, 2)
    assert inbox.finish(run_id) == "failed", inbox.states(run_id)
    return run_id


@contextlib.contextmanager
def lock(ledger: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(ledger, timeout=30, isolation_level=None)) as connection:
        connection.execute("begin immediate")
        yield connection


def has_set_aside(checks: Path) -> bool:
    if not checks.is_file():
        return False
    return any(check["quarantined_rows"] for check in json.loads(checks.read_bytes())["checks"])


def is_recorded(settings: Settings, run_id: str) -> bool:
    query = "select count(*) from attempt join check_result on attempt_id = attempt.id where run_id = ? and task_id = ?"
    with contextlib.closing(sqlite3.connect(settings.ledger_path)) as connection:
        return bool(connection.execute(query, [run_id, GATE]).fetchone()[0])


def kill_gate(api: AirflowApi, run_id: str, try_number: int) -> None:
    task = api._get(f"/api/v2/dags/{DATAOPS}/dagRuns/{quote(run_id)}/taskInstances/{GATE}")
    assert (task["state"], task["try_number"]) == ("running", try_number)
    os.kill(int(task["pid"]), signal.SIGKILL)


def test_a_killed_gate_makes_one_incident_and_stops_the_chain(project: Path, inbox: Inbox, blocked: str) -> None:
    states = inbox.states(blocked)
    assert (states.pop("land"), states.pop(GATE)) == ("success", "failed")
    assert set(states.values()) == {"upstream_failed"}
    assert inbox.tries(blocked)[GATE] == 3

    incident = inbox.find(dataset="birds", check=ROWS)
    assert incident["title"] == "2008 birds: the number of rows is 90, expected at least 100"
    assert (incident["state"], incident["severity"], incident["failing_partitions"]) == ("open", "critical", 1)
    assert (DATAOPS, blocked) in [tuple(run) for run in inbox.get(f"incidents/{incident['id']}")["blast"]["dag_runs"]]
    (verdict,) = inbox.verdicts("birds", "2008")
    assert verdict["decision"] == "block"
    (aside,) = ask_headrace(project, "quarantine", "list", "--partition", "2008")
    assert (aside["rows"], aside["total_rows"], aside["incident_id"]) == (1, 90, inbox.find(column=BILL)["id"])
    assert inbox.count_rows("2008") == (89, 1)
    wait_for(lambda: inbox.told(incident["id"]) == ["opened"], "people are told", 60)


@pytest.mark.tfx
def test_training_on_a_blocked_partition_is_refused_and_told_why(inbox: Inbox, blocked: str) -> None:
    inbox.api.wait_for_dag(TRAINING)
    run_id = inbox.api.trigger(TRAINING, "2008")
    assert inbox.finish(run_id, TRAINING) == "failed"
    tasks = {task.task_id: task for task in inbox.api.tasks(TRAINING, run_id)}
    refused = [task for task in tasks.values() if task.state == "failed"]
    assert {task.state for task in tasks.values()} == {"failed", "upstream_failed"}
    (examples,) = [task for task in refused if "ExampleGen" in task.task_id]  # others begin the pipeline with it
    assert examples.try_number == 1
    error = inbox.api.task_error(TRAINING, run_id, examples) or ""
    assert f"birds 2008 is blocked by {ROWS} (2008 birds: the number of rows is 90" in error


def test_a_waived_check_lets_the_chain_go_on_and_the_history_says_who(
    project: Path, inbox: Inbox, blocked: str
) -> None:
    incident = inbox.find(dataset="birds", check=ROWS)
    (done,) = ask_headrace(project, "incidents", "waive", str(incident["id"]), "--reason", "a short season")
    assert done["done"], done
    assert inbox.finish(blocked) == "success", inbox.states(blocked)
    assert inbox.tries(blocked)["land"] == 1
    assert inbox.tries(blocked)[GATE] == 4
    assert inbox.read_feature("2008", "2008-002", BILL) == [40.1]
    assert inbox.read_feature("2008", "2008-001", BILL) == []

    latest, *_, first = inbox.verdicts("birds", "2008")
    assert (latest["decision"], first["decision"]) == ("warn", "block")
    assert AT_THE_COMMAND_LINE in [verdict["actor"] for verdict in inbox.verdicts("birds", "2008")]
    assert f"waived by {AT_THE_COMMAND_LINE}: a short season" in json.dumps(latest["causes"])
    detail = inbox.get(f"incidents/{incident['id']}")
    assert (detail["row"]["resolution"], detail["resolved_by"]) == ("waived", AT_THE_COMMAND_LINE)
    wait_for(lambda: inbox.told(incident["id"]) == ["opened", "resolved"], "people are told once of each", 60)


def test_mended_data_resolves_what_failed_and_supersedes_what_was_set_aside(
    project: Path, inbox: Inbox, blocked: str
) -> None:
    incident = inbox.find(dataset="birds", column=BILL)
    assert incident["state"] == "open"
    inbox.land("2008", inbox.read("2008"))
    inbox.api.clear(DATAOPS, blocked, ("land", -1))
    assert inbox.finish(blocked) == "success", inbox.states(blocked)
    detail = inbox.get(f"incidents/{incident['id']}")
    assert (detail["row"]["state"], detail["row"]["resolution"]) == ("resolved", "passed")
    (aside,) = inbox.get("quarantine", partition_key="2008", state=["held", "releasing", "superseded"])["quarantine"]
    assert aside["state"] == "superseded"
    assert inbox.count_rows("2008") == (114, 0)
    assert inbox.read_feature("2008", "2008-001", BILL) == [39.6]
    assert inbox.verdicts("birds", "2008")[0]["decision"] == "pass"
    assert inbox.find(dataset="birds", check=ROWS)["state"] == "resolved"
    wait_for(lambda: inbox.told(incident["id"])[-1:] == ["resolved"], "people are told", 60)


def test_a_waived_dbt_test_is_left_out_and_a_killed_notifier_loses_nothing(
    project: Path, settings: Settings, inbox: Inbox
) -> None:
    # A species that the model does not know has no index; dbt's test says so, and no expectation does.
    inbox.land("2009", spoil(inbox.read("2009"), "2009-001", "species", "Emperor"))
    run_id = inbox.start("2009")
    assert inbox.finish(run_id) == "failed"
    assert inbox.states(run_id)["publish"] == "upstream_failed"
    incident = inbox.find(tool="dbt")
    assert (incident["state"], incident["severity"]) == ("open", "critical")
    assert (incident["dataset"], incident["column"]) == ("penguin_features", "species_index")
    sample = inbox.get(f"incidents/{incident['id']}")["result"]["sample"]
    assert [row["penguin_id"] for row in sample] == ["2009-001"]
    wait_for(lambda: inbox.told(incident["id"]) == ["opened"], "people are told", 60)

    notifier = find_notifier(settings)
    assert notifier is not None
    os.kill(notifier, signal.SIGKILL)
    done = inbox.act(f"incidents/{incident['id']}/waive", partition_keys=["2009"], reason="one bird from elsewhere")
    # Both found it: the one dbt process, and the model's own task, which tried it again.
    reruns = {rerun["task_id"]: rerun["state"] for rerun in done["reruns"]}
    assert reruns == {"dbt.dbt_build": "cleared", "dbt.penguin_features.test": "cleared"}
    assert inbox.finish(run_id) == "success", inbox.states(run_id)
    assert inbox.tries(run_id)[GATE] == 1
    assert inbox.read_feature("2009", "2009-001", "species_index") == [None]
    detail = inbox.get(f"incidents/{incident['id']}")
    assert (detail["row"]["resolution"], detail["resolved_by"]) == ("waived", IN_THE_BROWSER)
    wait_for(lambda: len(inbox.told(incident["id"])) > 1, "another notifier tells of the end", 120)
    assert inbox.told(incident["id"]) == ["opened", "resolved"]
    assert find_notifier(settings) not in (None, notifier)


def find_notifier(settings: Settings) -> int | None:
    """Return the notifier's pid: the oldest, for each delivery is a fork of it."""
    found = {}
    for pid in find_marked("HEADRACE_STACK", str(settings.state_dir / "airflow")):
        started = process_start_time(pid)
        with contextlib.suppress(OSError):
            if started is not None and b"headrace.airflow.notifier" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found[pid] = started
    return min(found, key=lambda pid: found[pid], default=None)
