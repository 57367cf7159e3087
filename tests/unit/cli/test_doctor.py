"""``headrace doctor`` names what is missing and how to get it."""

from pathlib import Path

import pytest

from headrace.cli.doctor import examine
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


def test_this_project_has_its_suites(monkeypatch: pytest.MonkeyPatch) -> None:
    findings = {finding.name: finding for finding in examine(load_settings(ROOT))}
    assert "raw_weather" in findings["expectation suites"].found
