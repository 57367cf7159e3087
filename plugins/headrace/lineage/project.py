"""The lineage of a project as its compiled parts and its suites say it; orchestration interpreter."""

from collections.abc import Iterator

from headrace.contracts.files import ContractError
from headrace.contracts.lineage import Lineage, name_examples
from headrace.contracts.pipeline import CompiledPipeline
from headrace.dbt.manifest import load_manifest
from headrace.exceptions import HeadraceError
from headrace.gx.suites import SuiteDocument, list_suites, load_suite
from headrace.lineage.build import build_lineage
from headrace.settings import Settings


def load_project_lineage(settings: Settings) -> Lineage:
    """Build the lineage of a project; what cannot be read, or was not compiled, is not in it.

    Raises:
        ConfigurationError: dbt's manifest is there and cannot be read.
    """
    manifest = load_manifest(settings.dbt_manifest) if settings.dbt_manifest.is_file() else None
    return build_lineage(str(settings.project_dir), manifest, _load_suites(settings), _load_pipelines(settings))


def list_unknown_readers(settings: Settings) -> list[str]:
    """Return the compiled pipelines of which nothing says what they read: no verdict on any data refuses them.

    A pipeline whose ``reads`` is an empty list says that it reads nothing of this project.

    Raises:
        ConfigurationError: dbt's manifest is there and cannot be read.
    """
    made = {downstream for _, downstream in load_project_lineage(settings).edges}
    pipelines = _load_pipelines(settings)
    return [each.name for each in pipelines if "reads" not in each.metadata and name_examples(each.name) not in made]


def describe_unknown_reader(pipeline: str) -> str:
    """Say what it means that nothing is known of what a pipeline reads, and how to say it."""
    return (
        f"nothing is known of what pipeline {pipeline} reads, so it trains also on data that is blocked: name its "
        f'datasets in tfx_pipelines/{pipeline}/headrace.json, for example {{"reads": ["flight_features"]}}, or in a '
        f"dbt exposure called {pipeline}"
    )


def _load_suites(settings: Settings) -> Iterator[SuiteDocument]:
    for name in list_suites(settings.expectations_dir):
        try:
            yield load_suite(settings.expectations_dir, name)
        except HeadraceError:
            continue  # its gate says what is wrong with it; the graph of the others is wanted all the same


def _load_pipelines(settings: Settings) -> Iterator[CompiledPipeline]:
    for source in sorted(settings.tfx_pipelines_dir.glob("*/pipeline.py")):
        try:
            yield CompiledPipeline.load(settings.compiled_pipeline_dir(source.parent.name))
        except ContractError:
            continue  # not compiled yet
