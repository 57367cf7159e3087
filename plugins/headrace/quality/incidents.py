"""Incident states and changes: pure decisions about when a failing check needs a person; either interpreter."""

from enum import Enum


class IncidentState(str, Enum):
    """What is being done about an incident."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    SNOOZED = "snoozed"
    RESOLVED = "resolved"


class PartitionState(str, Enum):
    """What became of one partition that an incident affects. The first two keep the incident open."""

    FAILING = "failing"
    QUARANTINED = "quarantined"
    PASSED = "passed"
    RELEASED = "released"
    WAIVED = "waived"


class Resolution(str, Enum):
    """How an incident was resolved."""

    PASSED = "passed"
    RELEASED = "released"
    WAIVED = "waived"
    MANUAL = "manual"


class Change(str, Enum):
    """A change of an incident that people are told about."""

    OPENED = "opened"
    ESCALATED = "escalated"
    REOPENED = "reopened"
    RESOLVED = "resolved"
