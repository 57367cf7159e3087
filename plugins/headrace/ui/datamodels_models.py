"""What the REST API takes and gives about models; the ledger's views are given as they are. api-server."""

from typing import Annotated

from pydantic import BaseModel, Field

from headrace.ledger.views_models import DeploymentRow, ModelRow, ModelVersionRow
from headrace.ui.datamodels import Body, Key, Name, Words

Number = Annotated[int, Field(ge=1, le=2**31 - 1)]


class _Deciding(Body):
    reason: Words


class Promote(_Deciding):
    version: Number
    expected_champion: int | None = Field(
        None, ge=0, description="The champion that the decision is made against; 0: none. Another by now is 409"
    )


class Rollback(_Deciding):
    to: Number | None = Field(None, description="The version to go back to; null: previous")
    expected_champion: int | None = Field(
        None, ge=0, description="The champion that is to be taken back. Another by now is 409"
    )


class Challenge(_Deciding):
    version: Number


class Unblock(_Deciding):
    version: Number


class QuarantinePartition(_Deciding):
    dataset: Name
    partition_key: Annotated[Key, Field(min_length=1)]


class Models(BaseModel):
    models: list[ModelRow]


class Versions(BaseModel):
    versions: list[ModelVersionRow]
    deployments: list[DeploymentRow]


class ServerSaid(BaseModel):
    """What a server says: ``number`` is the version with which it answers, null where it says none."""

    address: str
    number: int | None
    ready: bool
    error: str | None


class DeploymentDone(BaseModel):
    """A decision that was recorded; ``detail`` says what is left, for example a server that did not follow yet."""

    deployment: DeploymentRow
    servers: list[ServerSaid] = []
    detail: str | None = None


class PartitionQuarantined(BaseModel):
    """What came of a quarantine: see :class:`headrace.registry.quarantine.PartitionQuarantine`."""

    incident_id: int
    versions: list[str]
    rolled_back: list[str]
    still_answering: list[str]
