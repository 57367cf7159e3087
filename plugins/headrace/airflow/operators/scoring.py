"""Scoring a published partition with the champion, and writing the predictions; orchestration interpreter."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from headrace.airflow.base import TFX_POOL, WAREHOUSE_POOL, HeadraceOperator
from headrace.airflow.ledger import list_datasets, open_task_ledger, refuse_blocked_partitions
from headrace.contracts.files import ContractError
from headrace.contracts.lineage import name_published
from headrace.contracts.scoring import PREDICTIONS_FILE, ScoreOutcome, ScoreRequest
from headrace.contracts.worker_exit import WorkerExit
from headrace.exceptions import CheckFailedError, ConfigurationError, WorkerCrashedError, WorkerError
from headrace.jobs.environment import build_worker_environment
from headrace.jobs.job import Job, JobExit
from headrace.jobs.runtime import start_worker
from headrace.settings import Settings, load_settings, load_tfx_runtime_settings

if TYPE_CHECKING:
    from headrace.ledger.views_models import ModelVersionRow

WORKER_PREFIX = "headrace: "
COLOUR = "#d6eaf8"


class PredictOperator(HeadraceOperator):
    """Score a published partition with the version that is the champion when it begins, in the TFX interpreter.

    The process outlives a killed worker: the retry reconnects to it. A model that never had a champion skips what
    follows, for there is nothing to score with yet.

    Args:
        model: Name of the model.
        asset: Name of the asset whose published partition is scored.
        key_columns: Columns of the partition that tell which row is which; kept beside the answers.
        signature: Name of the model's signature; None: that of raw columns where it has one, else the default one.
    """

    ui_color = COLOUR

    def __init__(
        self,
        *,
        model: str,
        asset: str,
        key_columns: Sequence[str],
        signature: str | None = None,
        pool: str = TFX_POOL,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool=pool, **kwargs)
        self.model = model
        self.asset = asset
        self.key_columns = tuple(key_columns)
        self.signature = signature
        self._job: Job | None = None
        self._said = ""
        self._killed = False

    def run_partition(self, settings: Settings, context: Context) -> dict[str, Any]:
        self._job = job = Job(self.task_folder(context))
        try:
            refuse_blocked(settings, self.asset, self.partition_key, f"Scoring {self.asset} {self.partition_key}")
        except CheckFailedError:
            job.kill()  # of an earlier try, if it still runs
            raise
        self._start_or_reconnect(job, settings, context)
        if self._killed:
            job.kill()
        outcome = self._load_outcome(job, job.follow(self._log_line))
        request = ScoreRequest.load(job.folder)
        job.mark_collected()
        return {"model": self.model, "number": request.number, "rows": outcome.rows, "signature": outcome.signature}

    def on_kill(self) -> None:
        self._killed = True
        if self._job is not None:
            self.log.warning("Ending the scoring and everything it started")
            self._job.kill()

    def _start_or_reconnect(self, job: Job, settings: Settings, context: Context) -> None:
        if job.is_running():
            self.log.info("The scoring still runs for an earlier try of this task: reconnected to it")
            return
        if context["ti"].try_number > 1 and job.is_waiting_to_be_collected():
            self.log.info("The scoring ended while no task was watching: taking its result")
            return
        data = settings.features_dir / self.asset / f"{self.partition_key}.parquet"
        if not data.is_file():
            raise ConfigurationError(f"{data} does not exist: publish partition {self.partition_key} first.")
        if not settings.tfx_python.exists():
            raise ConfigurationError(f"There is no TFX interpreter at {settings.tfx_python}: run 'make setup'.")
        version = self._find_champion()
        from headrace.registry.register import MODEL_FOLDER, find_version_folder

        folder = find_version_folder(load_settings(), self.model, version.number) / MODEL_FOLDER
        ScoreRequest(
            model=self.model,
            number=version.number,
            digest=version.digest,
            model_dir=str(folder),
            data=str(data),
            key_columns=self.key_columns,
            signature=self.signature,
        ).write(job.folder)
        started = start_worker(
            job,
            settings.tfx_python,
            ["predict", "--job", str(job.folder)],
            build_worker_environment(settings.state_dir),
            load_tfx_runtime_settings().limits,
            self.log.info,
            use_runtime=False,  # it imports TensorFlow alone, which a node's process is more than
            is_cancelled=lambda: self._killed,
        )
        if not started:
            raise WorkerError("The scoring was ended before it began")

    def _find_champion(self) -> "ModelVersionRow":
        from headrace.contracts.deployment import CHAMPION
        from headrace.exceptions import RegistryError
        from headrace.ledger.query_models import load_aliases, load_version
        from headrace.registry.register import MODEL_FOLDER, find_version_folder
        from headrace.registry.trees import verify_tree

        with open_task_ledger() as ledger, ledger.connect() as connection:
            number = load_aliases(connection, self.model).get(CHAMPION)
            if number is None:
                raise AirflowSkipException(
                    f"{self.model} has no champion yet: nothing is scored. Once one is promoted (headrace models list "
                    f"{self.model}), clear this task to score {self.partition_key}."
                )
            version = load_version(connection, self.model, number)
        if wrong := verify_tree(
            find_version_folder(load_settings(), self.model, number) / MODEL_FOLDER, version.digest
        ):
            raise RegistryError(f"{version.name} is not whole in the registry: {wrong[0]}. Nothing was scored.")
        bad = ", ".join(f"{taint.dataset} {taint.partition_key}" for taint in version.taints)
        if bad:
            self.log.warning(
                "%s was trained on %s, which was quarantined since; it still is the champion", version.name, bad
            )
        self.log.info("%s scores, digest %s", version.name, version.digest[:12])
        return version

    def _log_line(self, line: str) -> None:
        self.log.info(line)
        if line.startswith(WORKER_PREFIX):
            self._said = line.removeprefix(WORKER_PREFIX)

    def _load_outcome(self, job: Job, end: JobExit) -> ScoreOutcome:
        if end.code in (WorkerExit.DATA_UNUSABLE, WorkerExit.BAD_REQUEST):
            raise ConfigurationError(f"{self.asset} {self.partition_key} cannot be scored: {self._said}")
        if end.code != 0:
            raise WorkerCrashedError(f"The scoring {end.describe()}")
        try:
            return ScoreOutcome.load(job.folder)
        except ContractError as error:
            raise WorkerCrashedError(f"The scoring {end.describe()} and left no outcome: {error}") from error


class LoadPredictionsOperator(HeadraceOperator):
    """Write what was predicted to ``predictions.<model>``, with the model's version on each row.

    The partition is replaced in one transaction. What a version predicted that was blocked meanwhile, or on a partition
    that was, is not written.

    Args:
        model: Name of the model.
        asset: Name of the asset whose partition was scored.
        predict_task_id: Whose folder holds the predictions.
    """

    ui_color = COLOUR

    def __init__(
        self, *, model: str, asset: str, predict_task_id: str, pool: str = WAREHOUSE_POOL, **kwargs: Any
    ) -> None:
        super().__init__(pool=pool, **kwargs)
        self.model = model
        self.asset = asset
        self.predict_task_id = predict_task_id

    def run_partition(self, settings: Settings, context: Context) -> dict[str, Any]:
        from headrace.airflow.lineage import record_scored
        from headrace.dbt.profiles import load_compiled_warehouse_path
        from headrace.warehouse.predictions import load_predictions

        refuse_blocked(settings, self.asset, self.partition_key, f"Writing predictions of {self.partition_key}")
        folder = load_settings().task_folder(self.dag_id, context["run_id"], self.predict_task_id)
        try:
            request, outcome = ScoreRequest.load(folder), ScoreOutcome.load(folder)
        except ContractError as error:
            raise ConfigurationError(
                f"There are no whole predictions: {error}. Clear {self.predict_task_id}."
            ) from error
        self._refuse_withdrawn(request)
        loaded = load_predictions(
            load_compiled_warehouse_path(settings.dbt_profiles),
            folder / PREDICTIONS_FILE,
            self.model,
            self.partition_key,
            number=request.number,
            digest=request.digest,
            key_columns=request.key_columns,
            scored_at=datetime.now(UTC).replace(tzinfo=None),
        )
        record_scored(context, settings, self.partition_key, self.asset, request, outcome, loaded)
        self.log.info(
            "Wrote %d predictions of %s@%d to %s, %d rows of before replaced",
            loaded.rows, self.model, request.number, loaded.relation, loaded.replaced_rows,
        )  # fmt: skip
        return {"relation": loaded.relation, "rows": loaded.rows, "model": self.model, "number": request.number}

    def _refuse_withdrawn(self, request: ScoreRequest) -> None:
        from headrace.ledger.query_models import load_version
        from headrace.ledger.views_models import BLOCKED

        with open_task_ledger() as ledger:
            version = load_version(ledger, self.model, request.number)
        if version.state == BLOCKED:
            raise CheckFailedError(
                f"{version.name} scored this partition, and was {version.state_why} since: its predictions are not "
                f"written. Clear {self.predict_task_id} to score with the champion of now."
            )


def refuse_blocked(settings: Settings, asset: str, partition_key: str, what: str) -> None:
    """Refuse a published partition that a verdict blocks, or anything that it is made from.

    Raises:
        CheckFailedError: The message names the check.
        LedgerError: It cannot be asked.
    """
    from headrace.ledger.runs import load_published_from

    with open_task_ledger() as ledger:
        tables = load_published_from(ledger, name_published(asset), partition_key)
        names = {asset, *tables, *(name for table in tables for name in list_datasets(settings, table))}
        refuse_blocked_partitions(ledger, sorted(names), [partition_key], what)
