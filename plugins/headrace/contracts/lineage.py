"""Which dataset is made from which, as ``headrace compile`` found it; either interpreter."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from headrace.contracts.files import ContractError, read_json, write_json


@dataclass(frozen=True)
class Dataset:
    """What checks are filed under.

    Attributes:
        name: A dbt source is ``<source>_<table>``, a model its name, a suite's what the suite says; a TFX pipeline has
            ``<pipeline>.examples`` and ``<pipeline>.model``, the file that lands in a source ``<source>_<table>.file``.
        kind: ``file``, ``source``, ``model``, ``seed``, ``snapshot``, ``examples``, ``trained_model`` or ``other``.
        relation: ``schema.table`` in the warehouse.
        owner: Who answers for it.
        tier: How much it matters, in the user's own words.
        runbook: What to do about it: a link, or text.
        description: In a sentence or two.
        docs: dbt's id of it, for the link to dbt's docs.
    """

    name: str
    kind: str = "other"
    relation: str | None = None
    owner: str | None = None
    tier: str | None = None
    runbook: str | None = None
    description: str | None = None
    docs: str | None = None


@dataclass(frozen=True)
class Lineage:
    """The datasets of one project.

    Attributes:
        project: The project's folder.
        fingerprint: SHA-256 of all the rest.
        datasets: By name.
        edges: ``(upstream, downstream)``, sorted; an upstream may be a dataset of another project.
    """

    project: str
    fingerprint: str
    datasets: tuple[Dataset, ...] = ()
    edges: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, project: str, datasets: Iterable[Dataset], edges: Iterable[tuple[str, str]]) -> "Lineage":
        """Build the lineage of a project, in one order whatever the order of its parts."""
        by_name = tuple(sorted(datasets, key=lambda dataset: dataset.name))
        pairs = tuple(sorted(set(edges)))
        text = json.dumps([project, [asdict(dataset) for dataset in by_name], pairs], sort_keys=True)
        return cls(project, hashlib.sha256(text.encode()).hexdigest(), by_name, pairs)

    def write(self, file: Path) -> None:
        write_json(file, {"lineage": asdict(self)})

    @classmethod
    def load(cls, file: Path) -> "Lineage":
        """Load what ``headrace compile`` wrote.

        Raises:
            ContractError: Nothing was written there, or by another version.
        """
        contents = read_json(file)
        try:
            document = contents["lineage"]
            return cls(
                project=document["project"],
                fingerprint=document["fingerprint"],
                datasets=tuple(Dataset(**each) for each in document["datasets"]),
                edges=tuple((upstream, downstream) for upstream, downstream in document["edges"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ContractError(f"{file} is not a lineage: {error!r}") from error


def name_examples(pipeline: str) -> str:
    """Return the dataset of a pipeline's examples: what its data checks are filed under."""
    return f"{pipeline}.examples"


def name_model(pipeline: str) -> str:
    """Return the dataset of a pipeline's model: what its evaluation is filed under."""
    return f"{pipeline}.model"


def name_published(asset: str) -> str:
    """Return the dataset of an asset's published partitions: files, beside the table that they were written from."""
    return f"{asset}.published"


def name_file(dataset: str) -> str:
    """Return what is checked when a file lands in a raw table: the file, for the table keeps what it had."""
    return f"{dataset}.file"


def name_versions(model: str) -> str:
    """Return the dataset of a model's versions in the registry: the partition is a version's number."""
    return f"{model}.versions"


def name_deployed(model: str) -> str:
    """Return the dataset of what answers for a model: the partition is a deployment's generation."""
    return f"{model}.deployed"


def name_predictions(model: str) -> str:
    """Return the dataset of a model's predictions, as that of the dbt source ``predictions.<model>``."""
    return f"predictions_{model}"
