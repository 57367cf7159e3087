"""Every error that Headrace raises, as one tree; either interpreter.

HeadraceError
├── ConfigurationError          something is not set up; do it and try again
│   └── StaleCompileError       a pipeline's sources changed since ``headrace compile``
├── UnknownRevisionError        git knows no such branch, tag or commit
├── UnknownDatasetError         nothing is known of such a dataset
├── InvalidPartitionKeyError    not a key of this dataset's partitions
├── InvalidCursorError          not where a page of incidents ended
├── LandingError                a landed file is missing, malformed or lacks a column
├── PublishingError             a partition could not be written whole, for example for a full disk (retryable)
├── QuarantineError             rows could not be set aside or put back, and none was moved (retryable)
├── WarehouseLockedError        another process holds the warehouse file (retryable)
├── LedgerError                 the ledger cannot be opened, read or written (retryable)
│   └── LedgerVersionError      its tables are not of this Headrace's version
├── UnknownIncidentError        the ledger has no such incident, or no such quarantine
│   └── UnknownQuarantineError  the ledger has no such quarantine
├── InvalidActionError          an incident or a quarantine is not in a state for what a person asked
├── CheckFailedError            checks on a partition failed: it must not go on
│   └── NoResultsError          nothing was checked, which is a failure
├── DbtRunError                 dbt failed to run or a node of it failed
│   └── DbtNodeError            a node that was run by itself failed (retryable)
├── ModelNotBlessedError        a model was evaluated and refused
├── RegistryError               a model could not be registered or deployed, and nothing changed (retryable)
│   ├── UnknownModelError       the registry has no such model
│   ├── UnknownVersionError     the model has no such version
│   ├── PromotionRefusedError   the policy, or a person, refuses that version
│   ├── ReproductionError       a version cannot be made again, or a node of it failed
│   └── DeploymentError         servers did not take what was decided (retryable)
└── WorkerError                 a TFX node failed (retryable)
    └── WorkerCrashedError      its process died without a result (retryable)

Every error is picklable, and says by ``retryable`` whether trying again can help.
"""

from collections.abc import Mapping
from typing import Any


class HeadraceError(Exception):
    """Root of the tree.

    Args:
        message: What was wrong, where, and what to do about it.
        attrs: JSON-safe facts about it, for logs and machines.
    """

    retryable = False

    def __init__(self, message: str, **attrs: Any) -> None:
        super().__init__(message)
        self.message = message
        self._attrs = attrs

    def attrs(self) -> Mapping[str, Any]:
        return {"error": type(self).__name__, "retryable": self.retryable, **self._attrs}

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self._attrs)


def _rebuild(cls: type[HeadraceError], message: str, attrs: Mapping[str, Any]) -> HeadraceError:
    return cls(message, **attrs)


class ConfigurationError(HeadraceError):
    """Something is not set up."""


class StaleCompileError(ConfigurationError):
    """A pipeline's sources changed since it was compiled."""


class UnknownRevisionError(HeadraceError):
    """Git knows no such branch, tag or commit."""


class UnknownDatasetError(HeadraceError):
    """Nothing is known of such a dataset."""


class InvalidPartitionKeyError(HeadraceError):
    """Not a key of this dataset's partitions."""


class InvalidCursorError(HeadraceError):
    """Not where a page of incidents ended; begin again at the first."""


class LandingError(HeadraceError):
    """A landed file is missing, malformed or lacks a column."""


class PublishingError(HeadraceError):
    """A partition could not be written whole; what was published before is untouched."""

    retryable = True


class QuarantineError(HeadraceError):
    """Rows could not be set aside or put back; none was moved."""

    retryable = True


class WarehouseLockedError(HeadraceError):
    """Another process holds the warehouse file."""

    retryable = True


class LedgerError(HeadraceError):
    """The ledger cannot be opened, read or written; the message never holds a password."""

    retryable = True


class LedgerVersionError(LedgerError):
    """The ledger's tables are not of this Headrace's version."""

    retryable = False


class UnknownIncidentError(HeadraceError):
    """The ledger has no such incident, or no such quarantine."""


class UnknownQuarantineError(UnknownIncidentError):
    """The ledger has no such quarantine."""


class InvalidActionError(HeadraceError):
    """An incident or a quarantine is not in a state for what a person asked, or something is missing with it."""


class CheckFailedError(HeadraceError):
    """Checks on a partition failed: it must not go on."""


class NoResultsError(CheckFailedError):
    """Nothing was checked, which is a failure."""


class DbtRunError(HeadraceError):
    """dbt failed to run or a node of it failed."""


class DbtNodeError(DbtRunError):
    """A node that was run by itself failed: as a retry, or because somebody cleared its task."""

    retryable = True


class ModelNotBlessedError(HeadraceError):
    """A model was evaluated and refused."""


class RegistryError(HeadraceError):
    """A model could not be registered or deployed; what was registered and deployed before stands."""

    retryable = True


class UnknownModelError(RegistryError):
    """The registry has no such model."""

    retryable = False


class UnknownVersionError(RegistryError):
    """The model has no such version."""

    retryable = False


class PromotionRefusedError(RegistryError):
    """The policy, or a person, refuses that version; trying again is refused again."""

    retryable = False


class ReproductionError(RegistryError):
    """A version could not be made again: something that it was made from is not kept, or a node failed."""

    retryable = False


class DeploymentError(RegistryError):
    """Servers did not take what was decided, in time or at all."""


class WorkerError(HeadraceError):
    """A TFX node failed."""

    retryable = True


class WorkerCrashedError(WorkerError):
    """A TFX node's process died without a result."""
