"""``headrace doctor`` names what is missing and how to get it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from headrace.cli.compile import compile_all
from headrace.cli.doctor import Finding, examine
from headrace.contracts.pipeline import CompiledPipeline
from headrace.ledger.database import open_ledger
from headrace.ledger.heartbeats import NOTIFIER, record_heartbeat
from headrace.settings import load_settings

ROOT = Path(__file__).parents[3]


def test_an_empty_project_lacks_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__HEADRACE__TFX_PYTHON", str(tmp_path / "no" / "python"))
    findings = {finding.name: finding for finding in examine(load_settings(tmp_path))}
    assert not findings["TFX interpreter"].ok
    assert "make setup" in findings["TFX interpreter"].remedy
    assert "dbt_project.yml does not exist" in findings["dbt project"].found
    assert not findings["expectation suites"].ok
    assert findings["apache-airflow"].ok


def test_a_pipeline_that_was_never_compiled_is_named(tmp_path: Path) -> None:
    (tmp_path / "tfx_pipelines" / "penguin").mkdir(parents=True)
    (tmp_path / "tfx_pipelines" / "penguin" / "pipeline.py").touch()
    findings = {finding.name: finding for finding in examine(load_settings(tmp_path))}
    assert findings["TFX pipeline penguin"].remedy == "run 'headrace compile'"
    assert not findings["TFX pipeline penguin"].ok


@pytest.mark.parametrize(("metadata", "known"), [({}, False), ({"reads": ["features"]}, True), ({"reads": []}, True)])
def test_a_pipeline_of_which_nobody_knows_what_it_reads_is_named(
    tmp_path: Path, metadata: dict[str, list[str]], known: bool
) -> None:
    settings = load_settings(tmp_path)
    (tmp_path / "tfx_pipelines" / "penguin").mkdir(parents=True)
    (tmp_path / "tfx_pipelines" / "penguin" / "pipeline.py").touch()
    CompiledPipeline("penguin", (), {}, {}, metadata).write(settings.compiled_pipeline_dir("penguin"))
    said: list[str] = []
    compile_all(settings, say=said.append)
    findings = {finding.name: finding for finding in examine(settings)}
    if known:
        assert said == []
        assert "what penguin reads" not in findings
    else:
        assert ["nothing is known of what pipeline penguin reads" in line for line in said] == [True]
        assert "nothing is known" in findings["what penguin reads"].found
        assert '"reads"' in findings["what penguin reads"].remedy
        assert not findings["what penguin reads"].needed


def test_the_ledger_is_looked_at_and_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__HEADRACE__PROJECT_DIR", str(tmp_path))
    settings = load_settings()

    def look() -> Finding:
        return next(finding for finding in examine(settings) if finding.name == "ledger")

    assert look().ok
    assert "not made yet" in look().found
    assert not settings.ledger_path.exists()
    settings.ledger_path.parent.mkdir(parents=True)
    settings.ledger_path.touch()
    assert not look().ok
    assert "has no tables of a ledger" in look().found
    assert settings.ledger_path.stat().st_size == 0
    open_ledger(settings.ledger_path).dispose()
    assert look().ok
    monkeypatch.setenv("AIRFLOW__HEADRACE__LEDGER_CONN_ID", "ledger")
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER", "postgres://me:hush@127.0.0.1:1/ledger")
    settings = load_settings()
    assert not look().ok
    assert "hush" not in f"{look()}"
    assert "cannot be reached" in look().found


def test_routes_that_are_gone_are_missed_and_routes_that_never_were_are_not_needed(tmp_path: Path) -> None:
    settings = load_settings(tmp_path)

    def look() -> Finding:
        return next(finding for finding in examine(settings) if finding.name == "notifications")

    with open_ledger(settings.ledger_path) as ledger:
        record_heartbeat(ledger, NOTIFIER, {"file_was_there": False}, datetime.now(UTC))
        assert not look().needed
        record_heartbeat(ledger, NOTIFIER, {"file_was_there": True}, datetime.now(UTC))
    assert look().needed
    assert "was there and is gone: notifications are held" in look().found
    assert "routes: []" in look().remedy


def test_what_is_wrong_with_the_routes_is_told(tmp_path: Path) -> None:
    def look() -> Finding:
        return next(finding for finding in examine(load_settings(tmp_path)) if finding.name == "notifications")

    assert (look().ok, look().needed) == (False, False)
    (tmp_path / "notifications.yaml").write_text("routes: {}")
    assert (look().ok, look().needed) == (False, True)
    assert "notifications.yaml" in look().found
    (tmp_path / "notifications.yaml").write_text("routes: []")
    assert look().ok


def test_a_project_that_was_compiled_without_its_lineage_is_told(tmp_path: Path) -> None:
    def look() -> Finding:
        return next(finding for finding in examine(load_settings(tmp_path)) if finding.name == "lineage")

    assert not look().ok
    compile_all(load_settings(tmp_path))
    assert look().ok
    suite = tmp_path / "expectations" / "expectations" / "notes.json"
    suite.parent.mkdir(parents=True)
    suite.write_text('{"name": "notes", "expectations": [{"type": "expect_table_row_count_to_be_between"}]}')
    assert not look().ok


def test_this_project_has_its_suites(monkeypatch: pytest.MonkeyPatch) -> None:
    findings = {finding.name: finding for finding in examine(load_settings(ROOT))}
    assert "raw_weather" in findings["expectation suites"].found
