"""Run one node of a compiled TFX pipeline in the TFX interpreter; orchestration interpreter."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from headrace.airflow.base import TFX_POOL, HeadraceOperator
from headrace.contracts.files import ContractError
from headrace.contracts.node_run import NodeOutcome, NodeRequest
from headrace.contracts.worker_exit import WorkerExit
from headrace.exceptions import (
    ConfigurationError,
    ModelNotBlessedError,
    WorkerCrashedError,
    WorkerError,
)
from headrace.jobs.environment import build_worker_environment
from headrace.jobs.job import Job, JobExit
from headrace.quality.verdict import decide_verdict, require_usable
from headrace.settings import Settings

WORKER_PREFIX = "headrace: "
CANNOT_RUN: dict[int, str] = {
    WorkerExit.BAD_REQUEST: "bad request",
    WorkerExit.STALE_COMPILE: "stale compile",
    WorkerExit.PIPELINE_ERROR: "the pipeline is wrong",
    WorkerExit.ENVIRONMENT_ERROR: "the TFX interpreter is not complete",
}


class TfxNodeOperator(HeadraceOperator):
    """Run one TFX node as a process in the TFX interpreter, and take MLMD's final state for the truth.

    The process outlives a killed worker: the retry reconnects to it, or takes the result that it left meanwhile.
    A node that checks something (data anomalies, a model's evaluation) fails its task, without retries, when it
    refuses. Its log lines stream into the task's log.

    Args:
        pipeline: Name of the pipeline.
        node: Id of the node.
        parameters: Values of the pipeline's runtime parameters, by name; templated.
    """

    template_fields: Sequence[str] = ("partition_key", "parameters")
    ui_color = "#e8daef"

    def __init__(
        self,
        *,
        pipeline: str,
        node: str,
        parameters: Mapping[str, Any] | None = None,
        pool: str = TFX_POOL,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool=pool, **kwargs)
        self.pipeline = pipeline
        self.node = node
        self.parameters = dict(parameters or {})
        self._job: Job | None = None
        self._said = ""
        self._killed = False

    def run_partition(self, settings: Settings, context: Context) -> dict[str, Any]:
        folder = self.task_folder(context)
        self._job = job = Job(folder)
        self._start_or_reconnect(job, settings, context)
        if self._killed:
            job.kill()
        end = job.follow(self._log_line)
        outcome = self._load_outcome(folder, end)
        if outcome.checks:
            self.record_checks(context, outcome.checks)
        job.mark_collected()
        return self._judge(outcome)

    def on_kill(self) -> None:
        self._killed = True
        if self._job is not None:
            self.log.warning("Ending %s and everything it started", self.node)
            self._job.kill()

    def _start_or_reconnect(self, job: Job, settings: Settings, context: Context) -> None:
        if job.is_running():
            self.log.info("%s is still running for an earlier try of this task: reconnected to it", self.node)
            return
        if context["ti"].try_number > 1 and job.is_waiting_to_be_collected():
            self.log.info("%s finished while no task was watching: taking its result", self.node)
            return
        if not settings.tfx_python.exists():
            raise ConfigurationError(
                f"There is no TFX interpreter at {settings.tfx_python}: run 'make setup' in the project, or set "
                f"tfx_python in airflow.cfg's [headrace] section. 'headrace doctor' says what is missing."
            )
        NodeRequest(
            pipeline=self.pipeline,
            node=self.node,
            compiled_dir=str(settings.compiled_pipeline_dir(self.pipeline)),
            pipelines_dir=str(settings.tfx_pipelines_dir),
            run_id=context["run_id"],
            parameters=self.parameters,
            rerun=self._is_asked_for_again(job),
        ).write(job.folder)
        command = [str(settings.tfx_python), "-m", "headrace.tfx_worker", "node", "--job", str(job.folder)]
        job.start(command, build_worker_environment(settings.state_dir))

    def _is_asked_for_again(self, job: Job) -> bool:
        """Return whether the node succeeded before (its task was cleared), or was to run again and never did."""
        try:
            unfinished_rerun = NodeRequest.load(job.folder).rerun
        except ContractError:
            unfinished_rerun = False
        return unfinished_rerun or job.read_exit().code == 0

    def _log_line(self, line: str) -> None:
        self.log.info(line)
        if line.startswith(WORKER_PREFIX):
            self._said = line.removeprefix(WORKER_PREFIX)

    def _load_outcome(self, folder: Path, end: JobExit) -> NodeOutcome:
        if end.code in CANNOT_RUN:
            raise ConfigurationError(f"{self.node} could not be run ({CANNOT_RUN[end.code]}): {self._said}")
        try:
            outcome = NodeOutcome.load(folder)
        except ContractError as error:
            raise WorkerCrashedError(f"{self.node} {end.describe()} and left no outcome: {error}") from error
        if not outcome.succeeded:
            raise WorkerError(f"{self.node} {outcome.state.lower()}: {outcome.error or end.describe()}")
        if end.code != 0:
            raise WorkerCrashedError(f"{self.node} is {outcome.state} in MLMD, but its process {end.describe()}")
        return outcome

    def _judge(self, outcome: NodeOutcome) -> dict[str, Any]:
        """Raise where the node refuses what it checked; else return what other tasks may want to know."""
        if outcome.state == "SKIPPED":
            raise AirflowSkipException(f"A condition of {self.pipeline} says that {self.node} is not to run.")
        for check in outcome.checks:
            self.log.info("%s: %s", check.status.value.upper(), check.message)
        failed = [check.message for check in outcome.checks if not check.passed]
        if outcome.blessed is False:
            raise ModelNotBlessedError(
                f"NOT BLESSED: {self.node} refused the model of partition {self.partition_key}; it was not pushed. "
                f"{'; '.join(failed) or 'No check said why.'}"
            )
        if outcome.checks:
            require_usable(decide_verdict(outcome.checks), f"{self.node} on partition {self.partition_key}")
        if outcome.blessed:
            self.log.info("BLESSED: %s accepted the model of partition %s", self.node, self.partition_key)
        uris = {key: [str(artifact["uri"]) for artifact in found] for key, found in outcome.outputs.items()}
        return {"state": outcome.state, "seconds": outcome.seconds, "outputs": uris, "pushed_to": outcome.pushed_to}
