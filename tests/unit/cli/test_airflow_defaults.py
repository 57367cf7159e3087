"""Headrace's defaults give way to whatever the user has set, wherever Airflow lets it be set."""

import os
from pathlib import Path

from headrace.cli.airflow_defaults import DEFAULTS, choose_defaults

NAME = "AIRFLOW__CORE__PARALLELISM"
TASKS = str(max(4, (os.cpu_count() or 1) + 2))


def test_every_default_is_set_where_the_user_set_nothing(tmp_path: Path) -> None:
    chosen = choose_defaults({}, tmp_path / "airflow.cfg")
    assert len(chosen) == len(DEFAULTS)
    assert chosen[NAME] == TASKS


def test_the_environment_wins(tmp_path: Path) -> None:
    for name in (NAME, f"{NAME}_CMD", f"{NAME}_SECRET"):
        assert NAME not in choose_defaults({name: "16"}, tmp_path / "airflow.cfg")


def test_what_the_user_changed_in_airflow_cfg_wins_and_what_airflow_wrote_there_does_not(tmp_path: Path) -> None:
    file = tmp_path / "airflow.cfg"
    file.write_text("[core]\nparallelism = 32\nload_examples = True\n")
    assert choose_defaults({}, file)[NAME] == TASKS
    file.write_text("[core]\nparallelism = 16\nhostname = %(x)s\n")
    assert NAME not in choose_defaults({}, file)


def test_the_values_that_are_taken_for_airflows_own_are(tmp_path: Path) -> None:
    import yaml
    from airflow import config_templates

    file = Path(config_templates.__path__[0]) / "config.yml"
    described = yaml.safe_load(file.read_text())
    for (section, option), (_, airflows) in DEFAULTS.items():
        assert described[section]["options"][option]["default"] == airflows, (section, option)
