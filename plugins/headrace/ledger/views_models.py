"""Model versions and deployments as they are read from the ledger, as plain values; orchestration interpreter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

CANDIDATE, REFUSED, BLOCKED, DELETED = "candidate", "refused", "blocked", "deleted"


@dataclass(frozen=True)
class VersionFacts:
    """What is known of a model when it is registered; ``at`` and its number are the registry's.

    Attributes:
        model: Its name: the pipeline's.
        dag_id: Of the run that pushed it.
        run_id: Of the run.
        pushed_version: Name of the folder that the Pusher wrote.
        metrics: As :attr:`headrace.contracts.node_run.NodeOutcome.metrics`; empty where no Evaluator told any.
        baseline: ``{"version": number | None, "metrics": {name: value}}`` of the model that it was compared with.
        signature: As :attr:`headrace.contracts.node_run.NodeOutcome.signature`.
        features: Raw features that it really uses.
        ir: SHA-256 of the compiled pipeline.
        commit: Of the sources; None outside git.
        dirty: Whether the checkout had other changes.
        lock: SHA-256 of the TFX interpreter's lock.
        code: The files that the pipeline was compiled from and that its nodes ran, to their SHA-256.
        schema_digest: SHA-256 of the schema.
        parameters: Values that the run gave to the pipeline's runtime parameters; None: not known. Kept in the
            version's file, not in the ledger.
    """

    model: str
    dag_id: str
    run_id: str
    pushed_version: str
    metrics: Mapping[str, Any] = field(default_factory=dict)
    baseline: Mapping[str, Any] | None = None
    signature: Mapping[str, Any] = field(default_factory=dict)
    features: Sequence[str] = ()
    ir: str | None = None
    commit: str | None = None
    dirty: bool | None = None
    lock: str | None = None
    code: Mapping[str, str] = field(default_factory=dict)
    schema_digest: str | None = None
    parameters: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Taint:
    """A partition that a version was trained on, and that was found bad afterwards."""

    dataset: str
    partition_key: str
    actor: str
    reason: str
    at: datetime


@dataclass(frozen=True)
class ModelVersionRow:
    """One version of a model.

    Attributes:
        state: ``candidate``, ``refused``, ``blocked`` or ``deleted``; ``state_why`` says why.
        aliases: The names under which it answers now.
        verdicts: What it was trained on, and the verdict on each when it was registered.
        taints: What of that was found bad since.
    """

    id: int
    model: str
    number: int
    digest: str
    state: str
    state_why: str | None
    dag_id: str
    run_id: str
    partition_key: str
    pushed_version: str
    at: datetime
    aliases: Sequence[str]
    metrics: Mapping[str, Any]
    baseline: Mapping[str, Any] | None
    verdicts: Sequence[Mapping[str, Any]]
    signature: Mapping[str, Any]
    features: Sequence[str]
    ir: str | None
    commit: str | None
    dirty: bool | None
    lock: str | None
    code: Mapping[str, str]
    schema_digest: str | None
    taints: Sequence[Taint] = ()

    @property
    def name(self) -> str:
        return f"{self.model}@{self.number}"

    @property
    def usable(self) -> bool:
        """Whether it may answer."""
        return self.state == CANDIDATE and not self.taints


@dataclass(frozen=True)
class DeploymentRow:
    """One change of what answers; of each model ``generation`` only rises."""

    id: int
    model: str
    generation: int
    action: str
    number: int | None
    from_number: int | None
    actor: str
    reason: str
    approval: Mapping[str, Any] | None
    incident_id: int | None
    state: str
    why: str | None
    at: datetime
    live_at: datetime | None


@dataclass(frozen=True)
class ModelRow:
    """A model: how many versions it has, and which answer."""

    model: str
    versions: int
    newest: int
    aliases: Mapping[str, int]
    generation: int
    dag_ids: Sequence[str]
