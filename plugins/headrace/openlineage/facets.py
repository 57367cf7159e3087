"""Standard facets of OpenLineage from what the ledger recorded; no Airflow."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.generated import (
    base_subset_dataset,
    column_lineage_dataset,
    data_quality_assertions_dataset,
    data_quality_metrics_input_dataset,
    dataset_version_dataset,
    documentation_dataset,
    output_statistics_output_dataset,
    ownership_dataset,
    schema_dataset,
)

from headrace.ledger.task_lineage import TaskLineage
from headrace.openlineage.names import name_dataset

Version = Mapping[str, Any]


def build_inputs(versions: Iterable[Version], lineage: TaskLineage, warehouse: str) -> list[InputDataset]:
    """Build the datasets that a run read, each once, with what was checked of it."""
    built = []
    for (namespace, name), same in _group(versions, warehouse).items():
        facets: dict[str, Any] = {}
        if assertions := _build_assertions(same[0]["dataset"], lineage.results):
            facets["dataQualityAssertions"] = assertions
        if (rows := _count_rows(same)) is not None:
            facets["dataQualityMetrics"] = data_quality_metrics_input_dataset.DataQualityMetricsInputDatasetFacet(
                columnMetrics={}, rowCount=rows
            )
        if keys := _list_keys(same):
            facets["subset"] = base_subset_dataset.InputSubsetInputDatasetFacet(inputCondition=_select(keys))
        built.append(InputDataset(namespace, name, inputFacets=facets, facets=_describe(same, lineage, warehouse)))
    return built


def build_outputs(versions: Iterable[Version], lineage: TaskLineage, warehouse: str) -> list[OutputDataset]:
    """Build the datasets that a run wrote, each once."""
    built = []
    for (namespace, name), same in _group(versions, warehouse).items():
        facets: dict[str, Any] = {}
        if (rows := _count_rows(same)) is not None:
            facets["outputStatistics"] = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
                rowCount=rows
            )
        if keys := _list_keys(same):
            facets["subset"] = base_subset_dataset.OutputSubsetOutputDatasetFacet(outputCondition=_select(keys))
        about = _describe(same, lineage, warehouse)
        if columns := _build_column_lineage(same[0]["dataset"], lineage, warehouse):
            about["columnLineage"] = columns
        built.append(OutputDataset(namespace, name, outputFacets=facets, facets=about))
    return built


def _group(versions: Iterable[Version], warehouse: str) -> dict[tuple[str, str], list[Version]]:
    found: dict[tuple[str, str], list[Version]] = defaultdict(list)
    for version in versions:
        found[name_dataset(version, warehouse)].append(version)
    return dict(sorted(found.items()))


def _count_rows(versions: Sequence[Version]) -> int | None:
    """Return the rows of them all; None where of one nobody knows."""
    counted = [each.get("rows") for each in versions]
    return None if any(rows is None for rows in counted) else sum(int(rows or 0) for rows in counted)


def _list_keys(versions: Sequence[Version]) -> list[str]:
    return sorted({str(each["partition_key"]) for each in versions if each["partition_key"]})


def _select(keys: Sequence[str]) -> base_subset_dataset.PartitionSubsetCondition:
    partitions = [base_subset_dataset.Partition({"partition_key": key}, identifier=key) for key in keys]
    return base_subset_dataset.PartitionSubsetCondition(partitions)


def _describe(versions: Sequence[Version], lineage: TaskLineage, warehouse: str) -> dict[str, Any]:
    """Return what holds of a dataset whatever the run; its version only where it is one."""
    name = versions[0]["dataset"]
    known = lineage.datasets.get(name, {})
    facets: dict[str, Any] = {}
    if len(versions) == 1:
        facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(str(versions[0]["fingerprint"]))
    if columns := lineage.columns.get(name):
        fields = [
            schema_dataset.SchemaDatasetFacetFields(column, ordinal_position=place)
            for place, column in enumerate(columns, 1)
        ]
        facets["schema"] = schema_dataset.SchemaDatasetFacet(fields=fields)
    if known.get("owner"):
        facets["ownership"] = ownership_dataset.OwnershipDatasetFacet([ownership_dataset.Owner(str(known["owner"]))])
    if known.get("description"):
        facets["documentation"] = documentation_dataset.DocumentationDatasetFacet(str(known["description"]))
    return facets


def _build_assertions(name: str, results: Iterable[Mapping[str, Any]]) -> Any:
    assertions = [
        data_quality_assertions_dataset.Assertion(
            assertion=str(result["name"]),
            success=result["status"] == "passed",
            column=result["column"],
            severity={"critical": "error", "warning": "warn"}.get(result["severity"]),
            name=f"{result['tool']}:{result['name']}",
            description=str(result["message"])[:2_000],
            expected=None if result["expected"] is None else json.dumps(result["expected"])[:2_000],
            actual=None if result["observed"] is None else json.dumps(result["observed"])[:2_000],
        )
        for result in results
        if result["dataset"] == name
    ]
    return data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(assertions) if assertions else None


def _build_column_lineage(name: str, lineage: TaskLineage, warehouse: str) -> Any:
    """Build which column is made from which; those that decide which rows there are stand for the whole dataset."""
    fields: dict[str, list[column_lineage_dataset.InputField]] = defaultdict(list)
    whole: list[column_lineage_dataset.InputField] = []
    for edge in lineage.column_edges.get(name, ()):
        known = lineage.datasets.get(edge["from_dataset"], {})
        place = {"dataset": edge["from_dataset"], "kind": known.get("kind"), "uri": known.get("relation")}
        namespace, table = name_dataset(place, warehouse)
        direct = edge["how"] == "direct"
        said = column_lineage_dataset.Transformation(type="DIRECT" if direct else "INDIRECT")
        source = column_lineage_dataset.InputField(namespace, table, edge["from_name"], [said])
        (fields[edge["name"]] if direct else whole).append(source)
    if not fields:
        return None
    return column_lineage_dataset.ColumnLineageDatasetFacet(
        {column: column_lineage_dataset.Fields(sources) for column, sources in sorted(fields.items())}, dataset=whole
    )
