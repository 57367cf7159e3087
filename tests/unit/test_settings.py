"""Where configuration comes from."""

from pathlib import Path

import pytest

from headrace.exceptions import ConfigurationError
from headrace.settings import load_settings, load_tfx_runtime_settings


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PROJECT_DIR", "STATE_DIR", "TFX_PYTHON", "LEDGER_CONN_ID", "NOTIFICATIONS_FILE"):
        monkeypatch.delenv(f"AIRFLOW__HEADRACE__{name}", raising=False)
    monkeypatch.delenv("AIRFLOW__CORE__DAGS_FOLDER", raising=False)
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))


def test_environment_wins_over_airflow_cfg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "airflow").mkdir()
    config = "[core]\ndags_folder = /srv/x/dags\n[headrace]\nproject_dir = /srv/a\nstate_dir = /var/lib/headrace\n"
    (tmp_path / "airflow" / "airflow.cfg").write_text(config)
    assert load_settings().project_dir == Path("/srv/a")
    monkeypatch.setenv("AIRFLOW__HEADRACE__PROJECT_DIR", "/srv/b")
    settings = load_settings()
    assert (settings.project_dir, settings.state_dir) == (Path("/srv/b"), Path("/var/lib/headrace"))
    assert settings.dbt_project_dir == Path("/srv/b/dbt_project")


def test_the_dags_folder_names_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", "/srv/c/dags")
    assert load_settings().project_dir == Path("/srv/c")


def test_a_folder_above_the_working_directory_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "p" / "dags").mkdir(parents=True)
    (tmp_path / "p" / "dbt_project").mkdir()
    monkeypatch.chdir(tmp_path / "p" / "dbt_project")
    assert load_settings().project_dir == tmp_path / "p"


def test_the_dags_folder_that_airflow_itself_wrote_down_counts_only_where_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home, project = tmp_path / "home", tmp_path / "shop"
    home.mkdir()
    (home / "airflow.cfg").write_text(f"[core]\ndags_folder = {home}/dags\n")
    monkeypatch.setenv("AIRFLOW_HOME", str(home))
    (project / "dags").mkdir(parents=True)
    monkeypatch.chdir(project)
    assert load_settings().project_dir == project
    (home / "dags").mkdir()
    assert load_settings().project_dir == home


def test_no_project_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="AIRFLOW__HEADRACE__PROJECT_DIR"):
        load_settings()


def test_another_project_keeps_its_parts_together(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AIRFLOW__HEADRACE__STATE_DIR", "/var/lib/headrace")
    with pytest.raises(ConfigurationError, match=r"no project folder .*penguins"):
        load_settings(tmp_path / "penguins")
    (tmp_path / "penguins").mkdir()
    settings = load_settings(tmp_path / "penguins")
    assert settings.state_dir == tmp_path / "penguins" / ".headrace"


def test_a_task_folder_stays_inside_the_runs_folder(tmp_path: Path) -> None:
    settings = load_settings(tmp_path)
    runs = settings.state_dir / "runs"
    folder = settings.task_folder("dag", "manual__2013-01__2026-01-01T00:00:00+00:00", "group.task")
    assert folder.relative_to(runs).parts == ("dag", "manual__2013-01__2026-01-01T00:00:00+00:00", "group.task")
    assert settings.task_folder("dag", "r", "group.task", 0).name == "group.task@0", "mapped tasks share no folder"
    assert settings.task_folder("dag", "r", "group.task", -1) == settings.task_folder("dag", "r", "group.task")
    assert settings.task_folder("dag", "../../etc", "t").parent.parent.parent == runs
    with pytest.raises(ConfigurationError):
        settings.task_folder("dag", "..", "t")


def test_the_ledger_is_a_file_in_the_state_folder_or_a_connection(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW__HEADRACE__PROJECT_DIR", str(tmp_path))
    settings = load_settings()
    assert settings.ledger_conn_id is None
    assert settings.ledger_path == tmp_path / ".headrace" / "ledger" / "ledger.sqlite"
    assert settings.notifications_file == tmp_path / "notifications.yaml"
    monkeypatch.setenv("AIRFLOW__HEADRACE__LEDGER_CONN_ID", "headrace_ledger")
    monkeypatch.setenv("AIRFLOW__HEADRACE__NOTIFICATIONS_FILE", "/etc/headrace/notifications.yaml")
    assert load_settings().ledger_conn_id == "headrace_ledger"
    assert load_settings().notifications_file == Path("/etc/headrace/notifications.yaml")
    assert load_settings(tmp_path).ledger_conn_id is None, "another project's folder says nothing of our ledger"


def test_how_tfx_nodes_run(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = load_tfx_runtime_settings()
    assert usual.enabled
    assert usual.limits.most_nodes >= 1
    assert usual.limits.idle_seconds == 1800
    for name, value in {
        "TFX_RUNTIME": "off",
        "TFX_NODES_AT_ONCE": "3",
        "TFX_NODE_MEMORY_GB": "2.5",
        "TFX_RUNTIME_IDLE_MINUTES": "5",
    }.items():
        monkeypatch.setenv(f"AIRFLOW__HEADRACE__{name}", value)
    told = load_tfx_runtime_settings()
    assert not told.enabled
    assert (told.limits.most_nodes, told.limits.memory_bytes, told.limits.idle_seconds) == (3, 2_500_000_000, 300)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tfx_runtime", "on"),
        ("tfx_nodes_at_once", "0"),
        ("tfx_nodes_at_once", "many"),
        ("tfx_node_memory_gb", "-1"),
        ("tfx_runtime_idle_minutes", "inf"),
    ],
)
def test_what_cannot_be_meant_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"AIRFLOW__HEADRACE__{name}".upper(), value)
    with pytest.raises(ConfigurationError, match=rf"\[headrace\] {name} is '{value}'"):
        load_tfx_runtime_settings()
