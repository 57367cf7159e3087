"""The only reader of configuration; orchestration interpreter.

Settings live where Airflow's own do: the ``[headrace]`` section of ``airflow.cfg``, or environment variables
``AIRFLOW__HEADRACE__<NAME>``. They are read without importing airflow, so that a command line starts at once.
"""

import configparser
import os
import shutil
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

from headrace.exceptions import ConfigurationError
from headrace.jobs.limits import NodeLimits

SECTION = "headrace"
TFX_VENV = ".venv-tfx"


@dataclass(frozen=True)
class Settings:
    """Where one project's parts lie; every path is absolute.

    Attributes:
        project_dir: Folder that holds ``dags/``, ``dbt_project/``, ``expectations/`` and ``tfx_pipelines/``.
        state_dir: Everything that runs write: warehouse, features, compiled pipelines, run folders, models.
        dbt_project_dir: The dbt project.
        expectations_dir: The Great Expectations file context.
        tfx_pipelines_dir: One folder for each TFX pipeline.
        landing_dir: Where files land.
        tfx_python: The interpreter in which TFX runs; it may not exist yet.
        notifications_file: Who is told of which incidents, and how; it may not exist.
        ledger_conn_id: The Airflow connection of the ledger's Postgres; None: a SQLite file, ``ledger_path``.
    """

    project_dir: Path
    state_dir: Path
    dbt_project_dir: Path
    expectations_dir: Path
    tfx_pipelines_dir: Path
    landing_dir: Path
    tfx_python: Path
    notifications_file: Path
    ledger_conn_id: str | None

    @property
    def ledger_path(self) -> Path:
        """The ledger's SQLite file, used where no connection is named; its folder is for its owner only."""
        return self.state_dir / "ledger" / "ledger.sqlite"

    @property
    def features_dir(self) -> Path:
        """Folder of the published feature tables: ``<table>/<partition key>.parquet``."""
        return self.state_dir / "features"

    @property
    def pushed_dir(self) -> Path:
        """Where TFX's Pusher writes: ``<pipeline>/<timestamp>/``. May hold a half copy; nobody serves from it."""
        return self.state_dir / "pushed"

    @property
    def registry_dir(self) -> Path:
        """Every registered model version, whole and never changed: ``<model>/<number>/``."""
        return self.state_dir / "registry"

    @property
    def serving_dir(self) -> Path:
        """What servers read: ``<model>/deployment.json`` and ``<model>/<number>/`` of what is deployed."""
        return self.state_dir / "serving"

    @property
    def prediction_log_dir(self) -> Path:
        """What servers were asked and answered, a sample of it: ``<model>/<day>/*.jsonl``."""
        return self.state_dir / "prediction_log"

    @property
    def compiled_dir(self) -> Path:
        """Folder of what ``headrace compile`` wrote: ``dbt/``, ``tfx/<pipeline>/`` and ``lineage.json``."""
        return self.state_dir / "compiled"

    @property
    def lineage_file(self) -> Path:
        return self.compiled_dir / "lineage.json"

    @property
    def dbt_manifest(self) -> Path:
        return self.compiled_dir / "dbt" / "manifest.json"

    @property
    def dbt_profiles(self) -> Path:
        return self.compiled_dir / "dbt" / "profiles.yml"

    def compiled_pipeline_dir(self, pipeline: str) -> Path:
        return self.compiled_dir / "tfx" / pipeline

    def run_folder(self, dag_id: str, run_id: str) -> Path:
        """Return the folder in which the tasks of one DAG run leave their results."""
        return self.state_dir / "runs" / _as_name(dag_id) / _as_name(run_id)

    def task_folder(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> Path:
        """Return the folder in which one task of one run leaves its results and its job; mapped: ``task@0``."""
        name = _as_name(task_id)  # Airflow lets no task have an @ in its id
        return self.run_folder(dag_id, run_id) / (name if map_index < 0 else f"{name}@{map_index}")


def _as_name(identifier: str) -> str:
    """Return an Airflow id as the name of one folder."""
    name = quote(identifier, safe="+: @")
    if name in ("", ".", ".."):
        raise ConfigurationError(f"{identifier!r} does not name a DAG, a run or a task.")
    return name


@dataclass(frozen=True)
class TfxRuntimeSettings:
    """How TFX nodes run on this machine, whatever the project.

    Attributes:
        enabled: Whether nodes run in forks of a process that has imported TFX; else each in a fresh process.
        limits: What they may use.
    """

    enabled: bool
    limits: NodeLimits


def load_tfx_runtime_settings() -> TfxRuntimeSettings:
    """Load how TFX nodes run on this machine.

    Raises:
        ConfigurationError: A value is none that can be meant.
    """
    usual = NodeLimits()
    switch = _get_configured(SECTION, "tfx_runtime") or "auto"
    if switch not in ("auto", "off"):
        raise ConfigurationError(f"[headrace] tfx_runtime is {switch!r}: write auto, or off.")

    def number(name: str, default: float, least: float) -> float:
        text = _get_configured(SECTION, name)
        try:
            value = default if text is None else float(text)
        except ValueError:
            value = float("nan")
        if not least <= value < float("inf"):
            raise ConfigurationError(f"[headrace] {name} is {text!r}: write a number, {least:g} or more.")
        return value

    limits = NodeLimits(
        most_nodes=int(number("tfx_nodes_at_once", usual.most_nodes, 1)),
        memory_bytes=int(1e9 * number("tfx_node_memory_gb", usual.memory_bytes / 1e9, 0)),
        idle_seconds=60 * number("tfx_runtime_idle_minutes", usual.idle_seconds / 60, 0),
    )
    return TfxRuntimeSettings(enabled=switch == "auto", limits=limits)


def load_preload_enabled() -> bool:
    """Load whether ``headrace up`` forks Airflow's components from one process that has imported Airflow.

    Raises:
        ConfigurationError: The value is none that can be meant.
    """
    switch = _get_configured(SECTION, "preload") or "auto"
    if switch not in ("auto", "off"):
        raise ConfigurationError(f"[headrace] preload is {switch!r}: write auto, or off.")
    return switch == "auto"


@dataclass(frozen=True)
class ServingSettings:
    """How models are served.

    Attributes:
        token: What requests must bear; None: nothing, which is for this machine only.
        log_share: Of the requests, 0 to 1, that the prediction log gets.
        ignore_extra: Fields that a model does not know are no error.
    """

    token: str | None
    log_share: float
    ignore_extra: bool


def load_serving_settings() -> ServingSettings:
    """Load how models are served.

    Raises:
        ConfigurationError: A value is none that can be meant, or the token's file cannot be read.
    """
    token, file = _get_configured(SECTION, "serving_token"), _get_configured(SECTION, "serving_token_file")
    if file is not None:
        try:
            token = Path(file).expanduser().read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigurationError(f"[headrace] serving_token_file {file} cannot be read: {error.strerror}") from None
        if not token:
            raise ConfigurationError(f"[headrace] serving_token_file {file} is empty.")
    text = _get_configured(SECTION, "serving_log_share") or "0.01"
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ConfigurationError(f"[headrace] serving_log_share is {text!r}: write a share from 0 to 1.")
    extra = _get_configured(SECTION, "serving_extra_fields") or "refuse"
    if extra not in ("refuse", "ignore"):
        raise ConfigurationError(f"[headrace] serving_extra_fields is {extra!r}: write refuse, or ignore.")
    return ServingSettings(token or None, share, extra == "ignore")


def load_openlineage_to_files() -> bool:
    """Load whether ``headrace up`` lets Airflow's OpenLineage provider write its events into files.

    Raises:
        ConfigurationError: The value is none that can be meant.
    """
    switch = _get_configured(SECTION, "openlineage") or "off"
    if switch not in ("file", "off"):
        raise ConfigurationError(
            f"[headrace] openlineage is {switch!r}: write file, or off; another transport is Airflow's own setting, "
            "[openlineage] transport."
        )
    return switch == "file"


def load_settings(project_dir: str | Path | None = None) -> Settings:
    """Load the settings of a project.

    Args:
        project_dir: The project's folder. None: the one that is configured; else the parent of Airflow's DAGs
            folder; else the nearest folder above the working directory that holds ``dags/``. A folder that is
            given has its parts in the standard places, whatever is configured for the main project.

    Raises:
        ConfigurationError: No project could be found.
    """
    if project_dir is not None and not Path(project_dir).is_dir():
        raise ConfigurationError(f"There is no project folder {Path(project_dir).absolute()}.")

    def get(name: str) -> str | None:
        return _get_configured(SECTION, name) if project_dir is None else None

    def place(name: str, default: Path) -> Path:
        value = get(name)
        return Path(value).expanduser().absolute() if value else default

    root = Path(project_dir).absolute() if project_dir is not None else _find_project()
    state_dir = place("state_dir", root / ".headrace")
    return Settings(
        project_dir=root,
        state_dir=state_dir,
        dbt_project_dir=place("dbt_project_dir", root / "dbt_project"),
        expectations_dir=place("expectations_dir", root / "expectations"),
        tfx_pipelines_dir=place("tfx_pipelines_dir", root / "tfx_pipelines"),
        landing_dir=place("landing_dir", state_dir / "landing"),
        tfx_python=_find_tfx_python(root),
        notifications_file=place("notifications_file", root / "notifications.yaml"),
        ledger_conn_id=get("ledger_conn_id"),
    )


def _get_configured(section: str, name: str) -> str | None:
    """Return an option from Airflow's two places of configuration: the environment, then ``airflow.cfg``."""
    value = os.environ.get(f"AIRFLOW__{section}__{name}".upper())
    if value:
        return value
    path = Path(os.environ.get("AIRFLOW_CONFIG", _find_airflow_home() / "airflow.cfg"))
    try:
        found = path.stat()
    except OSError:
        return None
    return _read_config(path, found.st_mtime_ns, found.st_size).get(section, name, fallback=None) or None


def _find_airflow_home() -> Path:
    return Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()


@lru_cache(maxsize=2)
def _read_config(path: Path, _changed: int, _size: int) -> configparser.ConfigParser:
    """Read a file once for as long as it stays as it is: it takes 20 ms, and a task asks a dozen times."""
    config = configparser.ConfigParser(interpolation=None, strict=False)
    config.read(path, encoding="utf-8")
    return config


def _find_project() -> Path:
    explicit = _get_configured(SECTION, "project_dir")
    if explicit:
        return Path(explicit).expanduser().absolute()
    dags_folder = _get_configured("core", "dags_folder")
    # Whatever imports Airflow writes an airflow.cfg with its defaults: such a folder that is not there is nobody's.
    if dags_folder and (Path(dags_folder).is_dir() or Path(dags_folder) != _find_airflow_home() / "dags"):
        return Path(dags_folder).expanduser().absolute().parent
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "dags").is_dir():
            return folder
    raise ConfigurationError(
        f"No Headrace project found: no folder from {here} upwards holds dags/. Change to the project's folder, "
        f"or set AIRFLOW__HEADRACE__PROJECT_DIR (or project_dir in airflow.cfg's [headrace] section)."
    )


def _find_tfx_python(root: Path) -> Path:
    explicit = _get_configured(SECTION, "tfx_python")
    if explicit:
        return Path(shutil.which(explicit) or explicit).expanduser().absolute()
    beside_root = root / TFX_VENV / "bin" / "python"
    beside_this_interpreter = Path(sys.prefix).parent / TFX_VENV / "bin" / "python"
    return beside_root if beside_root.exists() else beside_this_interpreter
