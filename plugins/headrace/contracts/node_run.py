"""One run of one TFX node: the request, and the outcome that the worker writes; either interpreter."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from headrace.contracts.check_result import CheckResult
from headrace.contracts.files import ContractError, read_json, write_json
from headrace.contracts.json_safe import make_json_safe

REQUEST_FILE = "request.json"
OUTCOME_FILE = "outcome.json"
_ALL = 2**31


@dataclass(frozen=True)
class NodeRequest:
    """What the TFX interpreter is asked to do.

    Attributes:
        pipeline: Name of the pipeline.
        node: Id of the node.
        compiled_dir: Folder that holds the IR and the nodes file.
        pipelines_dir: Folder of the user's pipelines; goes onto ``sys.path``.
        run_id: The pipeline run id; Airflow's run id as it is.
        parameters: Values of runtime parameters, by name.
        rerun: Run the node again although it already succeeded in this run (its task was cleared). Without it a node
            that succeeded is not run twice; one that failed or was killed is always run.
    """

    pipeline: str
    node: str
    compiled_dir: str
    pipelines_dir: str
    run_id: str
    parameters: Mapping[str, Any]
    rerun: bool = False

    def write(self, folder: Path) -> None:
        write_json(folder / REQUEST_FILE, asdict(self))

    @classmethod
    def load(cls, folder: Path) -> "NodeRequest":
        document = read_json(folder / REQUEST_FILE)
        document.pop("contract_version")
        try:
            return cls(**document)
        except TypeError as error:
            raise ContractError(f"{folder / REQUEST_FILE} is not a node request: {error}") from error


@dataclass(frozen=True)
class NodeOutcome:
    """What became of one node run; ``state`` is MLMD's last known state of the execution.

    Attributes:
        node: Id of the node.
        state: ``COMPLETE``, ``CACHED``, ``FAILED``, ``CANCELED``, ``UNRESOLVED`` (its inputs could not be resolved) or
            ``SKIPPED`` (a condition in the pipeline says that it is not to run; counts as succeeded).
        execution_id: MLMD execution id; None when no execution was made.
        seconds: Wall time of the node itself, imports excluded.
        outputs: By output key, the artifacts: ``{"id": …, "created": …, "uri": …, "type": …, "properties": {…}}``;
            ``id`` is MLMD's, ``created`` in milliseconds since the epoch.
        inputs: By input key, the artifacts that it read, as ``outputs``.
        checks: Results of a node that checks something (ExampleValidator, Evaluator, an infra check).
        blessed: Whether a model was blessed by this node; None where the node blesses nothing.
        metrics: Evaluator only: ``{"overall": {name: value}, "baseline": {name: value} | None,
            "slices": [{"slice": {feature: value}, "metrics": {name: value}}]}``.
        pushed_to: Folder or address of the pushed model; None where nothing was pushed.
        error: Why it failed, in plain words; None where it did not.
        partitions: Keys of the partitions that the node's examples were made of, as their ``partitions`` property says;
            empty where no artifact of the node says.
        execution_type: MLMD's name for the execution's type, for example ``tfx.components.trainer.component.Trainer``.
        code_digest: Of the user's code that the node ran; None where it ran none.
        features: Trainer only: the raw features that its model really uses; None where they cannot be told.
        signature: Pusher only: the pushed model's signatures, each ``{"inputs": {name: {"dtype", "shape"}}, "outputs":
            {…}, "method": name}``; None where nothing was pushed.
        code: The user's files that the node ran, relative to the folder of pipelines, to their SHA-256.
    """

    node: str
    state: str
    execution_id: int | None = None
    seconds: float = 0.0
    outputs: Mapping[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    checks: tuple[CheckResult, ...] = ()
    blessed: bool | None = None
    metrics: Mapping[str, Any] | None = None
    pushed_to: str | None = None
    error: str | None = None
    partitions: tuple[str, ...] = ()
    inputs: Mapping[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    execution_type: str | None = None
    code_digest: str | None = None
    features: tuple[str, ...] | None = None
    signature: Mapping[str, Any] | None = None
    code: Mapping[str, str] = field(default_factory=dict)

    @property
    def succeeded(self) -> bool:
        return self.state in ("COMPLETE", "CACHED", "SKIPPED")

    def write(self, folder: Path) -> None:
        document = asdict(self)
        document["checks"] = [check.to_json() for check in self.checks]
        # All of it is wanted: only what JSON has no word for, as the NaN of an undefined metric, is put in other words.
        document.update({name: make_json_safe(document[name], items=_ALL) for name in ("outputs", "inputs", "metrics")})
        write_json(folder / OUTCOME_FILE, document)

    @classmethod
    def load(cls, folder: Path) -> "NodeOutcome":
        document = read_json(folder / OUTCOME_FILE)
        document.pop("contract_version")
        try:
            checks = tuple(CheckResult.from_json(check) for check in document.pop("checks"))
            partitions = tuple(document.pop("partitions", ()))
            features = document.pop("features", None)
            features = None if features is None else tuple(features)
            return cls(**document, checks=checks, partitions=partitions, features=features)
        except (KeyError, TypeError, ValueError) as error:
            raise ContractError(f"{folder / OUTCOME_FILE} is not a node outcome: {error}") from error
