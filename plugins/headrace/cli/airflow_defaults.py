"""What ``headrace up`` sets in Airflow unless the user does; docs/data-engineers.md says what each costs."""

import configparser
import json
import os
from collections.abc import Mapping
from pathlib import Path

DEFAULTS = {
    # (section, option): (Headrace's, Airflow 3.3's)
    ("core", "parallelism"): (str(max(4, (os.cpu_count() or 1) + 2)), "32"),
    ("core", "load_examples"): ("False", "True"),
    ("core", "dags_are_paused_at_creation"): ("False", "True"),
    ("scheduler", "scheduler_idle_sleep_time"): ("0.2", "1"),
    ("database", "check_migrations"): ("False", "True"),
    ("dag_processor", "refresh_interval"): ("10", "300"),
    ("dag_processor", "min_file_process_interval"): ("10", "30"),
}


def choose_openlineage(environ: Mapping[str, str], config_file: Path, folder: Path) -> dict[str, str]:
    """Return the file transport of Airflow's OpenLineage provider, unless the user has set one.

    Args:
        environ: As of :func:`choose_defaults`.
        config_file: ``airflow.cfg``.
        folder: Where events are to be written: a file each, for events of two processes would mix in one.
    """
    config = configparser.ConfigParser(interpolation=None, strict=False)
    config.read(config_file, encoding="utf-8")
    if any(name.startswith("AIRFLOW__OPENLINEAGE__TRANSPORT") for name in environ) or "OPENLINEAGE_URL" in environ:
        return {}
    if config.get("openlineage", "transport", fallback="") or config.get("openlineage", "config_path", fallback=""):
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    transport = {"type": "file", "log_file_path": str(folder / "event"), "append": False}
    chosen = {"AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport)}
    if "AIRFLOW__OPENLINEAGE__NAMESPACE" not in environ:
        chosen["AIRFLOW__OPENLINEAGE__NAMESPACE"] = config.get("openlineage", "namespace", fallback="") or "headrace"
    return chosen


def choose_defaults(environ: Mapping[str, str], config_file: Path) -> dict[str, str]:
    """Return Headrace's defaults as environment variables, without those that the user has set.

    Args:
        environ: A variable ``AIRFLOW__<SECTION>__<OPTION>`` there, or one that names where its value is, is the user's.
        config_file: ``airflow.cfg``. Airflow writes it with its own defaults, so a value is the user's if it is not
            Airflow's.
    """
    config = configparser.ConfigParser(interpolation=None, strict=False)
    config.read(config_file, encoding="utf-8")
    chosen = {}
    for (section, option), (ours, airflows) in DEFAULTS.items():
        name = f"AIRFLOW__{section}__{option}".upper()
        in_environment = any(f"{name}{ending}" in environ for ending in ("", "_CMD", "_SECRET"))
        if not in_environment and config.get(section, option, fallback=airflows) == airflows:
            chosen[name] = ours
    return chosen
