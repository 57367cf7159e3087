"""Reading a suite from a GX file context, strictly enough to say what is wrong with it; orchestration interpreter."""

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headrace.exceptions import ConfigurationError, NoResultsError

SUITES_FOLDER = "expectations"


@dataclass(frozen=True)
class SuiteTarget:
    """Which rows a suite is about, as its ``meta`` or the caller says.

    Attributes:
        dataset: What the results are filed under; the suite's name unless ``meta.dataset`` says otherwise.
        table: ``schema.table`` in the warehouse.
        partition_column: Column that holds the partition key; None: the whole table is checked.
        row_key: Columns that name a row, shown with failing ones.
        time_zone: Zone of the table's timestamps without one, for example ``UTC``; only for showing them.
    """

    dataset: str
    table: str
    partition_column: str | None
    row_key: tuple[str, ...]
    time_zone: str | None = None


@dataclass(frozen=True)
class SuiteDocument:
    """A suite's JSON, as GX wrote it or as somebody edited it.

    Attributes:
        name: Name of the suite.
        path: Its file.
        expectations: Each expectation's configuration, at least one.
        meta: The suite's own ``meta``.
        document: The whole JSON.
    """

    name: str
    path: Path
    expectations: Sequence[Mapping[str, Any]]
    meta: Mapping[str, Any]
    document: Mapping[str, Any] = field(repr=False)

    def target(
        self, table: str | None = None, partition_column: str | None = None, row_key: Sequence[str] | None = None
    ) -> SuiteTarget:
        """Return the rows that the suite is about: arguments win over ``meta``, and the suite's name is a table's."""
        column = self.meta.get("partition_column") if partition_column is None else partition_column
        keys = self.meta.get("row_key") or () if row_key is None else row_key
        return SuiteTarget(
            dataset=str(self.meta.get("dataset") or self.name),
            table=table or str(self.meta.get("table") or self.name),
            partition_column=str(column) if column else None,
            row_key=(keys,) if isinstance(keys, str) else tuple(keys),
            time_zone=self.meta.get("time_zone"),
        )


def list_suites(context_dir: Path) -> list[str]:
    """Return the names of the suites in a GX file context."""
    folder = context_dir / SUITES_FOLDER
    return sorted(
        path.relative_to(folder).with_suffix("").as_posix()
        for path in folder.rglob("*.json")
        if not path.name.startswith(".")
    )


def load_suite(context_dir: Path, suite: str) -> SuiteDocument:
    """Load one suite.

    Args:
        context_dir: The ``context_root_dir`` of the GX file context.
        suite: Its name.

    Raises:
        ConfigurationError: No such context or suite (the message lists those that exist), or not valid JSON.
        NoResultsError: The suite holds no expectations, so nothing would be checked.
    """
    names = list_suites(context_dir)
    if suite not in names:
        there = f"there are: {', '.join(names)}" if names else f"{context_dir / SUITES_FOLDER} holds no suite"
        raise ConfigurationError(f"suite {suite!r} does not exist in {context_dir}; {there}", suite=suite, suites=names)
    path = context_dir / SUITES_FOLDER / f"{suite}.json"
    try:
        document = json.loads(path.read_bytes())
    except ValueError as error:
        raise ConfigurationError(f"suite {suite}: {path} is not valid JSON: {error}", suite=suite) from error
    expectations = document.get("expectations") if isinstance(document, dict) else None
    if not isinstance(expectations, list) or not all(
        isinstance(each, dict) and each.get("type") for each in expectations
    ):
        raise ConfigurationError(
            f"suite {suite}: {path} is not a GX suite: it needs a list `expectations`, each with a `type`", suite=suite
        )
    if not expectations:
        raise NoResultsError(f"suite {suite}: {path} holds no expectations, so nothing would be checked", suite=suite)
    return SuiteDocument(suite, path, expectations, document.get("meta") or {}, document)


def build_expectation_suite(suite: SuiteDocument) -> Any:
    """Build GX's ``ExpectationSuite``; each expectation's id is its place, by which its result is found again.

    Raises:
        ConfigurationError: An expectation is of a type that GX does not know, or its arguments are wrong.
    """
    from great_expectations import ExpectationSuite
    from great_expectations.exceptions import ExpectationNotFoundError
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from great_expectations.expectations.registry import (
        get_expectation_impl,
        list_registered_expectation_implementations,
    )

    for number, configuration in enumerate(suite.expectations, 1):
        kind = str(configuration["type"])
        try:
            get_expectation_impl(kind)
        except ExpectationNotFoundError:
            close = difflib.get_close_matches(kind, list_registered_expectation_implementations(), n=3, cutoff=0.6)
            hint = f"; did you mean {' or '.join(close)}?" if close else ""
            raise ConfigurationError(
                f"suite {suite.name}: expectation {number} is of type {kind!r}, which GX does not know{hint}",
                suite=suite.name,
                expectation=kind,
            ) from None
        try:
            # the suite itself only logs what it cannot read, and goes on without it
            ExpectationConfiguration(**configuration).to_domain_obj()
        except Exception as error:  # pydantic's, GX's and Python's own, by expectation
            raise ConfigurationError(
                f"suite {suite.name}: expectation {number} ({kind}) is not valid: {' '.join(str(error).split())}",
                suite=suite.name,
                expectation=kind,
            ) from error
    return ExpectationSuite(
        name=suite.name,
        expectations=[{**each, "id": str(place)} for place, each in enumerate(suite.expectations)],
        meta=dict(suite.meta),
    )
