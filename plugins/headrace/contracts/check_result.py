"""The one shape of a check's result, whatever tool ran the check; either interpreter."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

from headrace.contracts.json_safe import make_json_safe


class Severity(str, Enum):
    """How much a failing check matters; the names are Great Expectations'."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Status(str, Enum):
    """What became of a check. ``ERROR``: it could not be evaluated, which counts as a failure."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"


@dataclass(frozen=True)
class CheckResult:
    """One check on one partition of one dataset.

    Attributes:
        tool: ``landing``, ``dbt``, ``gx``, ``tfdv``, ``tfma`` or ``tfx``.
        dataset: Table, feature group or model that was checked.
        partition_key: For example ``2013-01``; None where the whole dataset was checked.
        check: The check's name in its own tool, for example ``expect_column_max_to_be_between``.
        column: The column (dbt, GX) or feature (TFDV) or slice (TFMA); None for a whole table.
        severity: What a failure means to the chain.
        status: Passed, failed or could not be evaluated.
        message: One plain sentence, readable with no other context.
        observed: The value that was found; JSON-safe.
        expected: The value or bounds that were wanted; JSON-safe.
        failed_rows: Rows that failed; None where the check is not about rows.
        total_rows: Rows that were looked at.
        sample: A few failing rows, each a mapping of column to JSON-safe value, keys included.
        check_id: What tells two checks of one name on one column apart, and stays when a bound is edited: dbt's
            ``unique_id``, GX's expectation ``id``, TFX's node id; None where the tool has none.
        meta: What the user wrote beside the check, its dataset or its pipeline, the nearest winning: ``owner``,
            ``runbook``, ``tier``, ``unit``, ``description`` and whatever else.
        quarantined_rows: Of ``failed_rows``, those that were set aside, so that they do not go on.
        excused: Who let the failure pass and why (a waiver, a release of its rows); None where nobody has.
    """

    tool: str
    dataset: str
    partition_key: str | None
    check: str
    column: str | None
    severity: Severity
    status: Status
    message: str
    observed: Any = None
    expected: Any = None
    failed_rows: int | None = None
    total_rows: int | None = None
    sample: tuple[Mapping[str, Any], ...] = ()
    check_id: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    quarantined_rows: int = 0
    excused: str | None = None

    @property
    def passed(self) -> bool:
        return self.status is Status.PASSED

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON types: what a tool gave that JSON has no word for, as NaN, is a text."""
        document = asdict(self)
        document.update({name: make_json_safe(document[name]) for name in ("observed", "expected", "sample", "meta")})
        document["severity"] = self.severity.value
        document["status"] = self.status.value
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "CheckResult":
        return cls(
            **{
                **document,
                "severity": Severity(document["severity"]),
                "status": Status(document["status"]),
                "sample": tuple(document.get("sample") or ()),
            }
        )
