"""Run one node of a compiled TFX pipeline in the TFX interpreter; orchestration interpreter."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from headrace.airflow.base import TFX_POOL, HeadraceOperator
from headrace.airflow.ledger import (
    open_task_ledger,
    read_map_index,
    refuse_blocked_partitions,
    task_try,
    tell_lineage,
)
from headrace.airflow.models import register_pushed_model
from headrace.contracts.check_result import CheckResult
from headrace.contracts.files import ContractError, read_json, write_json
from headrace.contracts.lineage import Lineage, name_examples, name_model
from headrace.contracts.node_run import NodeOutcome, NodeRequest
from headrace.contracts.pipeline import CompiledPipeline, Node
from headrace.contracts.statistics import load_statistics
from headrace.contracts.worker_exit import WorkerExit
from headrace.exceptions import (
    CheckFailedError,
    ConfigurationError,
    ModelNotBlessedError,
    WorkerCrashedError,
    WorkerError,
)
from headrace.jobs.environment import build_worker_environment
from headrace.jobs.job import Job, JobExit
from headrace.jobs.runtime import start_worker
from headrace.quality.severity import override_severity
from headrace.quality.verdict import decide_verdict, require_usable
from headrace.settings import Settings, load_settings, load_tfx_runtime_settings

if TYPE_CHECKING:
    from headrace.ledger.views import VerdictRow

UNBLESSED = ". A waiver does not bless a model, and TFX pushes none without: change the threshold that it missed."
PARTITIONS_FILE = "partitions.json"
ABOUT = ("owner", "runbook", "tier")
WORKER_PREFIX = "headrace: "
CANNOT_RUN: dict[int, str] = {
    WorkerExit.BAD_REQUEST: "bad request",
    WorkerExit.STALE_COMPILE: "stale compile",
    WorkerExit.PIPELINE_ERROR: "the pipeline is wrong",
    WorkerExit.ENVIRONMENT_ERROR: "the TFX interpreter is not complete",
}


class TfxNodeOperator(HeadraceOperator):
    """Run one TFX node as a process in the TFX interpreter, and take MLMD's final state for the truth.

    The process is forked from one that has imported TFX already, or is a fresh one where there is none. It outlives a
    killed worker: the retry reconnects to it, or takes the result that it left meanwhile. Its log lines stream into
    the task's log. A node that checks something (data anomalies, a model's evaluation) fails its task, without retries,
    when it refuses.

    A node is not run, and of an ExampleGen what follows is not, while a verdict on what the pipeline reads, or on what
    that is made from, blocks a partition that it uses; nor is a model pushed whose own examples are blocked.

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
        if read_map_index(context) >= 0:
            raise ConfigurationError(
                f"{self.node} of {self.pipeline} is a mapped task, which cannot work: TFX knows a run of a pipeline by "
                "the DAG run, so that every instance would take the first one's result for its own. Map over DAG runs "
                "instead, for example one a partition."
            )
        folder = self.task_folder(context)
        self._job = job = Job(folder)
        try:
            self._refuse_blocked(settings, self._load_window(settings, context))
        except CheckFailedError:
            job.kill()  # of an earlier try, if it still runs
            raise
        self._start_or_reconnect(job, settings, context)
        if self._killed:
            job.kill()
        end = job.follow(self._log_line)
        outcome = self._load_outcome(folder, end)
        outcome = self._record(settings, context, outcome, folder)
        job.mark_collected()
        result = self._judge(outcome)
        if outcome.partitions:
            self._refuse_blocked(settings, outcome.partitions)
        return result

    def on_kill(self) -> None:
        self._killed = True
        if self._job is not None:
            self.log.warning("Ending %s and everything it started", self.node)
            self._job.kill()

    def _refuse_blocked(self, settings: Settings, partition_keys: Sequence[str]) -> None:
        """Refuse when a partition that the node uses is blocked.

        What the pipeline itself found counts only before a model is pushed: until then its checks may be on their way
        to another verdict.
        """
        examples = name_examples(self.pipeline)
        own = (examples, name_model(self.pipeline))
        node = self._find_node(settings)
        pushes = node is not None and node.is_pusher

        def is_undecided(verdict: "VerdictRow") -> bool:
            is_this_run = verdict.dataset == examples and verdict.partition_key == self.partition_key
            return verdict.dataset in own and not (is_this_run and pushes)

        with open_task_ledger() as ledger:
            tell_lineage(ledger, settings)
            what = f"{self.node} of {self.pipeline}"
            refuse_blocked_partitions(ledger, [examples], partition_keys, what, is_undecided)

    def _load_window(self, settings: Settings, context: Context) -> list[str]:
        """Return the run's partition and those that its examples were made of, as soon as that is known."""
        return list(dict.fromkeys([self.partition_key, *self._list_examples_read(settings, context)]))

    def _list_examples_read(self, settings: Settings, context: Context) -> list[str]:
        """Return what the ExampleGens of this task's group, however many, left in their folders that they read."""
        return sorted({key for said in self._load_read(settings, context) for key in said["partitions"]})

    def _list_digests_read(self, settings: Settings, context: Context) -> dict[str, str]:
        """Return, by partition, the digest of the file that they read; of those ExampleGens that say so."""
        said = self._load_read(settings, context)
        return {key: digest for each in said for key, digest in (each.get("digests") or {}).items()}

    def _load_read(self, settings: Settings, context: Context) -> list[dict[str, Any]]:
        group, runs, found = self.task_id.removesuffix(self.node), load_settings(), []
        for node in self._load_nodes(settings):
            with suppress(ContractError):  # made no examples, or not yet
                folder = runs.task_folder(self.dag_id, context["run_id"], f"{group}{node.id}")
                found.append(read_json(folder / PARTITIONS_FILE))
        return found

    def _record(self, settings: Settings, context: Context, outcome: NodeOutcome, folder: Path) -> NodeOutcome:
        """Record what a node found and made; return its outcome with the checks as they were recorded."""
        node = self._find_node(settings)
        # What a node only read, its ExampleGen has told; its own word would stand for what another one made.
        read = outcome.partitions if node is not None and node.makes_examples else ()
        if read:
            write_json(folder / PARTITIONS_FILE, {"partitions": list(read), "digests": _read_digests(outcome)})
            self._keep_read(settings, outcome)
        if outcome.checks:
            metadata = self._load_metadata(settings)
            filed = [self._file_check(check, metadata) for check in outcome.checks]
            checks = self.record_checks(context, filed, complete=True)
            outcome = replace(outcome, checks=tuple(checks))
        statistics = load_statistics(folder)
        from headrace.airflow.lineage import find_contents_read, record_node
        from headrace.ledger.recording import record_statistics, record_training

        # Read within the transaction: of two ExampleGens that end together, the later one tells of both.
        with open_task_ledger() as ledger, ledger.begin() as connection:
            if statistics:
                examples = name_examples(self.pipeline)
                record_statistics(connection, task_try(context), examples, self.partition_key, statistics)
            if outcome.state == "SKIPPED":
                return outcome
            datasets = self._list_read(settings)
            sources = datasets[1:]
            digests = self._list_digests_read(settings, context) if read else {}
            contents = find_contents_read(connection, context, sources, digests)
            own = {key: contents[key] for key in _read_digests(outcome) if key in contents}
            record_node(connection, context, self.pipeline, outcome, own)
            if not (read or outcome.pushed_to or outcome.blessed is not None):
                return outcome
            trained_on = dict.fromkeys(datasets, self._list_examples_read(settings, context)) if read else None
            record_training(
                connection,
                self.pipeline,
                self.dag_id,
                context["run_id"],
                self.partition_key,
                trained_on=trained_on,
                contents={(name, key): content for name in sources for key, content in contents.items()},
                blessed=outcome.blessed,
                node=self.node,
                pushed_to=outcome.pushed_to,
            )
        register_pushed_model(settings, context, self.pipeline, self.node, outcome)
        return outcome

    def _keep_read(self, settings: Settings, outcome: NodeOutcome) -> None:
        """Keep the contents that were read, of those that a Headrace published which kept none."""
        from headrace.registry.contents import keep_read

        if left := keep_read(settings.features_dir, _read_digests(outcome)):
            self.log.info("No content is kept of %s: this model could not be reproduced", ", ".join(sorted(left)))

    def _file_check(self, check: CheckResult, metadata: Mapping[str, Any]) -> CheckResult:
        """Return a node's check under the pipeline's own dataset, with what the pipeline says of itself and of it."""
        own = f"{self.pipeline}."
        dataset = check.dataset if check.dataset.startswith(own) else f"{own}{check.dataset}"
        about = {name: metadata[name] for name in ABOUT if name in metadata}
        # A pipeline without the runtime parameter does not know of partitions; its run is of one all the same.
        partition_key = check.partition_key or self.partition_key
        filed = replace(check, dataset=dataset, partition_key=partition_key, meta={**about, **check.meta})
        return override_severity(filed, metadata.get("severity", {}))

    def _load_metadata(self, settings: Settings) -> Mapping[str, Any]:
        try:
            return CompiledPipeline.load(settings.compiled_pipeline_dir(self.pipeline)).metadata
        except ContractError:
            return {}  # the node could not have run without; a test's stand-in can

    def _find_node(self, settings: Settings) -> Node | None:
        return next((node for node in self._load_nodes(settings) if node.id == self.node), None)

    def _load_nodes(self, settings: Settings) -> Sequence[Node]:
        try:
            return CompiledPipeline.load(settings.compiled_pipeline_dir(self.pipeline)).nodes
        except ContractError:
            return ()  # the node cannot run without either

    def _list_read(self, settings: Settings) -> list[str]:
        """Return the pipeline's examples, and the datasets that these are made from."""
        examples = name_examples(self.pipeline)
        try:
            edges = Lineage.load(settings.lineage_file).edges
        except ContractError:
            edges = ()
        return [examples, *(upstream for upstream, downstream in edges if downstream == examples)]

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
        runtime = load_tfx_runtime_settings()
        started = start_worker(
            job,
            settings.tfx_python,
            ["node", "--job", str(job.folder)],
            build_worker_environment(settings.state_dir),
            runtime.limits,
            self.log.info,
            use_runtime=runtime.enabled,
            is_cancelled=lambda: self._killed,
        )
        if not started:
            raise WorkerError(f"{self.node} was ended before it began")

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
        failing = [check for check in outcome.checks if not check.passed]
        for check in failing:
            self.log.info("%s (%s): %s", check.status.value.upper(), check.severity.value, check.message)
        if outcome.checks:
            self.log.info("%d of %d checks passed", len(outcome.checks) - len(failing), len(outcome.checks))
        failed = [check.message for check in failing]
        waiver = UNBLESSED if any(check.excused for check in failing) else ""
        if outcome.blessed is False:
            raise ModelNotBlessedError(
                f"NOT BLESSED: {self.node} refused the model of partition {self.partition_key}; it was not pushed. "
                f"{'; '.join(failed) or 'No check said why.'}{waiver}"
            )
        if outcome.checks:
            require_usable(decide_verdict(outcome.checks), f"{self.node} on partition {self.partition_key}")
        if outcome.blessed:
            self.log.info("BLESSED: %s accepted the model of partition %s", self.node, self.partition_key)
        uris = {key: [str(artifact["uri"]) for artifact in found] for key, found in outcome.outputs.items()}
        return {"state": outcome.state, "seconds": outcome.seconds, "outputs": uris, "pushed_to": outcome.pushed_to}


def _read_digests(outcome: NodeOutcome) -> dict[str, str]:
    """Return, by partition, the SHA-256 of the file that an ExampleGen read; empty where it does not say."""
    found: dict[str, str] = {}
    for artifacts in outcome.outputs.values():
        for artifact in artifacts:
            said = (artifact.get("properties") or {}).get("partition_digests")
            if isinstance(said, str):
                found |= {str(key): str(digest) for key, digest in json.loads(said).items()}
    return found
