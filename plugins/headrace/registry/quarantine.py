"""Quarantining a partition after the fact, and taking back the models in use that were trained on it; orchestration
interpreter."""

from collections.abc import Sequence
from dataclasses import dataclass

from headrace.contracts.deployment import CHAMPION
from headrace.exceptions import DeploymentError, HeadraceError
from headrace.ledger.audit import require_text
from headrace.ledger.database import Ledger
from headrace.ledger.query_models import list_models
from headrace.ledger.taints import comment_incident, quarantine_partition
from headrace.registry.deploy import WAIT_SECONDS, renew_previous, rollback
from headrace.registry.deployment_files import load_policy
from headrace.settings import Settings


@dataclass(frozen=True)
class PartitionQuarantine:
    """What came of quarantining a partition.

    Attributes:
        incident_id: The incident that says so.
        versions: Versions that were trained on it, as ``flight_delay@7``.
        rolled_back: What answers now instead of a version that was trained on it, in sentences.
        still_answering: Which of these versions answer on, and why, in sentences; empty where none does.
    """

    incident_id: int
    versions: Sequence[str]
    rolled_back: Sequence[str]
    still_answering: Sequence[str]


def quarantine_and_roll_back(
    ledger: Ledger,
    settings: Settings,
    dataset: str,
    partition_key: str,
    actor: str,
    reason: str,
    *,
    wait: float = WAIT_SECONDS,
) -> PartitionQuarantine:
    """Block a partition, mark the versions that were trained on it, and roll back those in use, as their policy says.

    Again, for example after a kill: what is left is done.

    Args:
        ledger: The ledger.
        settings: Of the main project, whose registry it is.
        dataset: Name.
        partition_key: Of the partition.
        actor: Who decides.
        reason: Why.
        wait: Seconds in which every server must answer with the version before.

    Raises:
        UnknownDatasetError: Nothing is known of such a dataset.
        InvalidPartitionKeyError: No partition is named.
        InvalidActionError: Nobody is named as the actor, or no reason.
        LedgerError: Nothing was done.
    """
    actor, reason = require_text(actor, "the actor's name", 500), require_text(reason, "the reason")
    tainted = quarantine_partition(ledger, dataset, partition_key, actor, reason)
    answering = {row.model: row.aliases.get(CHAMPION) for row in list_models(ledger)}
    done: list[str] = []
    left: list[str] = []
    for model, number in tainted.versions:
        if answering.get(model) != number:
            continue
        try:
            if not load_policy(settings, model).rollback_on_quarantine:
                left.append(f"{model}@{number} answers on: its policy says so (rollback_on_quarantine is false)")
                continue
            why = f"{dataset} {partition_key} was quarantined: {reason}"
            deployment = rollback(
                ledger, settings, model, actor, why, incident_id=tainted.incident_id, expected_champion=number,
                wait=wait,
            ).deployment  # fmt: skip
            done.append(f"{model}@{deployment.number} answers instead of {model}@{number}")
        except DeploymentError as error:
            left.append(f"{model}@{number} was rolled back, but {error.message}")
        except HeadraceError as error:  # of one model; the others are to be taken back all the same
            left.append(f"{model}@{number} answers on: {error.message}")
    for model in sorted({model for model, _ in tainted.versions}):
        try:
            renew_previous(ledger, settings, model, actor, f"{dataset} {partition_key} was quarantined: {reason}")
        except DeploymentError as error:
            left.append(f"{model}: {error.message}")
    for sentence in left:
        comment_incident(ledger, tainted.incident_id, sentence)
    versions = [f"{model}@{number}" for model, number in tainted.versions]
    return PartitionQuarantine(tainted.incident_id, versions, done, left)
