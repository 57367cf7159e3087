"""What REST answers about lineage, which is what ``headrace lineage|impact --json`` print; api-server."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, Field

from headrace.ui.datamodels import Key, Plain

DatasetName = Annotated[str, Query(min_length=1, max_length=500), Plain]
PartitionKey = Annotated[Key, Query(description="Empty: all of the dataset")]
Direction = Literal["upstream", "downstream", "both"]


class DataVersionFound(BaseModel):
    """A partition of a dataset with one content, and the names of the model versions that were trained on it."""

    id: int
    dataset: str
    partition_key: str
    fingerprint: str
    kind: str
    rows: int | None
    uri: str | None
    first_seen: datetime
    last_seen: datetime
    detail: dict[str, Any]
    verdict: str | None
    models: list[dict[str, Any]]


class RunFound(BaseModel):
    id: int
    attempt_id: int | None
    job: str
    kind: str
    code: str | None
    execution_id: int | None
    state: str
    dag_id: str
    run_id: str
    partition_key: str
    started: datetime | None
    ended: datetime | None
    detail: dict[str, Any]


class EdgeFound(BaseModel):
    """Data that a run read and data that it wrote; ``run`` is null on a way through what the user may not read."""

    from_: int = Field(alias="from")
    run: int | None
    to: int


class LineageFound(BaseModel):
    dataset: str
    partition_key: str
    start: list[int]
    versions: list[DataVersionFound]
    runs: list[RunFound]
    edges: list[EdgeFound]
    truncated: bool


class ModelHitFound(BaseModel):
    """A model that was trained on the partition: see :class:`headrace.ledger.impact.ModelHit`."""

    model: str
    number: int | None
    aliases: list[str]
    state: str | None
    at: datetime
    dag_id: str
    run_id: str
    partition_key: str
    fingerprint: str | None
    current: bool | None
    features: list[str]
    name: str
    serving: bool


class ImpactFound(BaseModel):
    dataset: str
    partition_key: str
    versions: list[dict[str, Any]]
    datasets: list[str]
    models: list[ModelHitFound]
    more: int
    dag_runs: list[dict[str, str]]
    incidents: list[dict[str, Any]]
