"""What a user says of the severity of checks, in place of the tools' own: a pure decision; either interpreter.

Rules are a mapping of a check, or the beginning of its name up to a ``_``, to a severity, or to a mapping of column
(feature, slice) to a severity::

    {"drift": "warning", "schema": {"tail_number": "info"}, "drift_eval": {"carrier": "critical", "*": "info"}}

``drift`` speaks of ``drift_train`` and ``drift_eval``, and ``drift_eval`` of the latter alone: the longest rule that
says something of the column wins. ``*`` is every other column, and the dataset as a whole.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from headrace.contracts.check_result import CheckResult, Severity
from headrace.exceptions import ConfigurationError

OTHER_COLUMNS = "*"
SeverityRules = Mapping[str, str | Mapping[str, str]]


def override_severity(check: CheckResult, rules: SeverityRules) -> CheckResult:
    """Return the result with the severity that the rules give it; itself where they say nothing of it.

    Raises:
        ConfigurationError: A rule that speaks of this check is wrong; see :func:`check_severity_rules`.
    """
    for name, rule in sorted(rules.items(), key=lambda item: -len(item[0])):
        if check.check == name or check.check.startswith(f"{name}_"):
            said = _find_column(rule, check.column) if isinstance(rule, Mapping) else rule
            if said is not None:
                return replace(check, severity=_parse_severity(said, name))
    return check


def check_severity_rules(rules: object) -> SeverityRules:
    """Return the rules if all of them can be understood.

    Raises:
        ConfigurationError: They are no mapping, or say something that is no severity; the message says which.
    """
    if not isinstance(rules, Mapping):
        raise ConfigurationError(
            f'severity is {rules!r}: write a mapping of check to severity, for example {{"drift": "warning"}}'
        )
    for name, said in _flatten(rules):
        _parse_severity(said, name)
    return rules


def _find_column(rule: Mapping[str, str], column: str | None) -> str | None:
    other = rule.get(OTHER_COLUMNS)
    return other if column is None else rule.get(column, other)


def _flatten(rules: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, said in rules.items():
        if isinstance(said, Mapping):
            yield from ((f"{name}.{column}", severity) for column, severity in said.items())
        else:
            yield name, said


def _parse_severity(said: object, name: str) -> Severity:
    try:
        return Severity(said)
    except ValueError:
        raise ConfigurationError(
            f"the severity of {name} is {said!r}: it may be {', '.join(severity.value for severity in Severity)}"
        ) from None
