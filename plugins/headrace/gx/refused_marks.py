"""Suites whose marks cannot be kept: rows set aside would be doubled, or claimed twice; orchestration interpreter."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from headrace.exceptions import ConfigurationError, HeadraceError
from headrace.gx.check_meta import describe_checks
from headrace.gx.suites import SuiteDocument, load_suite
from headrace.quality.identifiers import name_relation


def refuse_marks(context_dir: Path, suite: str, beside: Sequence[str], built: Mapping[str, str]) -> None:
    """Refuse a suite that is marked ``quarantine`` where its failing rows cannot be set aside for good.

    Args:
        context_dir: The ``context_root_dir`` of the GX file context.
        suite: Name of the suite.
        beside: Suites of the same gate.
        built: Tables that dbt builds, ``schema.table`` to the node's id.

    Raises:
        ConfigurationError: dbt builds its table, or another marked suite divides the same table otherwise.
    """
    document = load_suite(context_dir, suite)
    if not _is_marked(document):
        return
    target = document.target()
    table = name_relation(target.table)
    if table in built:
        raise ConfigurationError(
            f"suite {suite} is marked quarantine, and dbt builds {target.table} ({built[table]}): building it again "
            "would bring its rows back while those aside are put back too, so that they were there twice. Mark checks "
            "on landed tables, or take quarantine from the suite",
            suite=suite,
            table=target.table,
        )
    for name in beside:
        other = document
        with suppress(HeadraceError):  # it is refused when its turn comes
            other = load_suite(context_dir, name)
        theirs = other.target()
        if name_relation(theirs.table) != table or bool(theirs.partition_column) == bool(target.partition_column):
            continue
        if _is_marked(other):
            raise ConfigurationError(
                f"suites {suite} and {name} are both marked quarantine on {target.table}, one for its partitions and "
                "one for the whole table: each would set the other's rows aside. Mark one of them, or give both the "
                "same partition_column",
                suite=suite,
                table=target.table,
            )


def _is_marked(suite: SuiteDocument) -> bool:
    return any(check.quarantine for check in describe_checks(suite.name, suite.meta, suite.expectations))
