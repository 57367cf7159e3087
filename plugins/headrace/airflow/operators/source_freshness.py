"""Ask dbt whether the sources are fresh, and stop what would run on stale ones; orchestration interpreter."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from airflow.sdk import Context

from headrace.airflow.base import WAREHOUSE_POOL, HeadraceOperator
from headrace.exceptions import ConfigurationError, DbtRunError, NoResultsError
from headrace.jobs.environment import build_worker_environment
from headrace.jobs.job import Job
from headrace.quality.verdict import decide_verdict, require_usable
from headrace.settings import Settings

TARGET_FOLDER = "target"
LOG_FOLDER = "logs"
SHOWN_LINES = 10


class SourceFreshnessOperator(HeadraceOperator):
    """Run ``dbt source freshness`` in a process of its own, and file its findings as checks of the sources.

    A source older than its ``error_after``, or whose age cannot be found, fails the task for good; one older than its
    ``warn_after`` is reported. A project in which no selected source has a ``freshness`` fails the task too.

    Freshness is of a source as a whole, so the DAG run needs no partition; a partition it has is dbt's variable.

    Args:
        select: dbt selection of sources, for example ``source:raw``; empty: all of them.
    """

    ui_color = "#d6eaf8"
    needs_partition: ClassVar[bool] = False

    def __init__(self, *, select: str | Sequence[str] = (), pool: str = WAREHOUSE_POOL, **kwargs: Any) -> None:
        super().__init__(pool=pool, **kwargs)
        self.select = select.split() if isinstance(select, str) else list(select)
        self._job: Job | None = None

    def run_partition(self, settings: Settings, context: Context) -> dict[str, Any]:
        from headrace.dbt.freshness import SOURCES_FILE, load_freshness
        from headrace.dbt.manifest import load_manifest

        folder = self.task_folder(context)
        found, log = folder / TARGET_FOLDER / SOURCES_FILE, folder / LOG_FOLDER / "dbt.log"
        self._job = job = Job(folder)
        if not job.is_running():
            for file in (found, log):
                file.unlink(missing_ok=True)
            job.start(self._build_command(settings, folder), build_worker_environment(settings.state_dir))
        said: list[str] = []
        end = job.follow(lambda line: self._log_line(line, said))
        last = "\n".join(said[-SHOWN_LINES:])
        if not found.is_file():
            raise DbtRunError(f"dbt source freshness {end.describe()} and found nothing:\n{last}")
        checks = list(load_freshness(found, load_manifest(settings.dbt_manifest), log))
        if not checks:
            raise NoResultsError(
                f"No source of {settings.dbt_project_dir} that is selected has a freshness: give it "
                f"`loaded_at_field` and `freshness` in its yml, and run 'headrace compile'."
            )
        recorded = self.record_checks(context, checks, complete=not self.select)
        for check in recorded:
            self.log.info("%s: %s", check.status.value.upper(), check.message)
        verdict = decide_verdict(recorded)
        require_usable(verdict, "freshness of the sources")
        if end.code != 0 and all(check.passed for check in checks):
            raise DbtRunError(
                f"dbt source freshness {end.describe()}, and every source that it tells of is fresh:\n{last}"
            )
        return {"verdict": verdict.decision.value, "checks": verdict.checked}

    def on_kill(self) -> None:
        if self._job is not None:
            self._job.kill()

    def _build_command(self, settings: Settings, folder: Path) -> list[str]:
        dbt = Path(sys.executable).with_name("dbt")
        if not dbt.exists():
            raise ConfigurationError(f"There is no dbt beside {sys.executable}: run 'make setup'.")
        if not settings.dbt_profiles.is_file():
            raise ConfigurationError(f"{settings.dbt_profiles} does not exist: run 'headrace compile'.")
        command = [
            str(dbt),
            "--no-use-colors",
            "--no-send-anonymous-usage-stats",
            "--log-path",
            str(folder / LOG_FOLDER),
        ]
        command += ["--log-format-file", "json"]
        command += ["source", "freshness", "--project-dir", str(settings.dbt_project_dir)]
        command += ["--profiles-dir", str(settings.dbt_profiles.parent), "--target-path", str(folder / TARGET_FOLDER)]
        if self.partition_key:
            command += ["--vars", json.dumps({"partition_key": self.partition_key})]
        return [*command, *(["--select", *self.select] if self.select else [])]

    def _log_line(self, line: str, said: list[str]) -> None:
        self.log.info(line)
        said.append(line)
