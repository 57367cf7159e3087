"""What a change to the dbt project does to checks, DAGs and models that were trained; orchestration interpreter."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.contracts.files import make_private_folder
from headrace.dbt.base import Base, export_folder, find_base
from headrace.dbt.changes import NodeChange, TracedProject, compare_projects, trace_project
from headrace.dbt.invocation import Invocation, list_nodes, run_dbt
from headrace.dbt.manifest import DbtManifest, DbtNode, parse_manifest
from headrace.dbt_check.prepared_base import QUIET, write_profiles
from headrace.exceptions import DbtRunError
from headrace.gx.suites import list_suites, load_suite
from headrace.ledger.database import Ledger
from headrace.ledger.impact import ModelHit, find_models_on, list_runs_of
from headrace.quality.identifiers import name_relation
from headrace.settings import Settings

_ANY_PARTITION = {"partition_key": "any"}
_EMPTY = TracedProject({}, {}, {}, {}, {})


@dataclass(frozen=True)
class TouchedModel:
    """A model version that was trained on what changes.

    Attributes:
        hit: The version.
        removed: Features that it uses and that the change removes: it could not be fed any more.
        changed: Features that it uses and whose values change; every one where the rows do.
    """

    hit: ModelHit
    removed: tuple[str, ...]
    changed: tuple[str, ...]


@dataclass(frozen=True)
class DbtImpact:
    """What a change reaches.

    Attributes:
        base: What it was compared with.
        nodes: Models that were added, modified or removed, and those made from them whose content is touched.
        checks: Names of the dbt tests and suites of these, by dataset.
        dags: That build them, or train on them; None where there is no ledger to ask.
        models: Versions that were trained on them, what answers first; None where there is no ledger.
        exposures: dbt exposures that are reached: ``{"name", "type", "owner", "trained"}``; ``trained`` is None
            where it is not known, and False of a model that is declared and was never trained.
    """

    base: Base
    nodes: Sequence[NodeChange]
    checks: Sequence[tuple[str, str]]
    dags: Sequence[str] | None
    models: Sequence[TouchedModel] | None
    exposures: Sequence[dict[str, Any]]

    @property
    def broken(self) -> list[TouchedModel]:
        """The models in use that lose a feature."""
        return [each for each in self.models or () if each.hit.aliases and each.removed]


def find_dbt_impact(settings: Settings, ref: str | None, ledger: Ledger | None) -> DbtImpact:
    """Find what the change since a commit reaches; needs no warehouse.

    Args:
        settings: Of the project.
        ref: The commit; by default see :func:`headrace.dbt.base.find_base`.
        ledger: Where what was trained on what is recorded; None where there is none, as in CI.

    Raises:
        UnknownRevisionError: There is no such commit.
        ConfigurationError: Something is not set up.
        DbtRunError: dbt cannot compile the project as it is, or as it was.
        LedgerError: The ledger cannot be read.
    """
    base = find_base(settings.dbt_project_dir, ref)
    folder = settings.state_dir / "check" / "impact"
    make_private_folder(folder)
    was = _compile_base(base, settings.dbt_project_dir, folder)
    now = _compile(settings.dbt_project_dir, settings.dbt_project_dir, folder / "now", folder / "empty.duckdb")
    modified = list_nodes(_list_modified(settings.dbt_project_dir, folder, was)) if was else []
    after = json.loads((now / "manifest.json").read_bytes())
    before = trace_project(json.loads((was / "manifest.json").read_bytes())) if was else _EMPTY
    nodes = compare_projects(before, trace_project(after), modified)
    manifest = parse_manifest(after)
    touched = {each.unique_id: each for each in nodes if each.matters}
    names = {each.name: each for each in touched.values()}
    models = None if ledger is None else _list_models(ledger, names)
    dags = (
        None if ledger is None or models is None else {*list_runs_of(ledger, touched), *(m.hit.dag_id for m in models)}
    )
    return DbtImpact(
        base=base,
        nodes=nodes,
        checks=_list_checks(settings, manifest, touched),
        dags=None if dags is None else sorted(dags),
        models=models,
        exposures=_list_exposures(manifest, touched, models),
    )


def _compile_base(base: Base, project: Path, folder: Path) -> Path | None:
    """Return dbt's target folder of the project as it was, compiled once; None where there was none."""
    kept = folder / base.commit
    if not (kept / "target" / "done").is_file():
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir()
        if not export_folder(base, project, kept / "project"):
            return None
        own = (kept / "project" / "profiles.yml").is_file()
        _compile(kept / "project", kept / "project" if own else project, kept / "target", folder / "empty.duckdb")
        (kept / "target" / "done").touch()
    return kept / "target"


def _compile(project: Path, profile_of: Path, target: Path, database: Path) -> Path:
    """Compile a project against an empty warehouse; return dbt's target folder."""
    profiles = target.parent / f"{target.name}.profiles" / "profiles.yml"
    write_profiles(profile_of, profiles, database)
    shutil.rmtree(target, ignore_errors=True)
    told: list[str] = []
    run = Invocation("compile", project, profiles, target, _ANY_PARTITION, options=QUIET)
    if not run_dbt(run, lambda end: told.append(f"{end.unique_id}: {end.message}") if end.status == "error" else None):
        raise DbtRunError(f"dbt cannot compile {project}: {' '.join('; '.join(told).split())}"[:2_000])
    return target


def _list_modified(project: Path, folder: Path, state: Path) -> Invocation:
    profiles = folder / "now.profiles" / "profiles.yml"
    options = [*QUIET, "--state", str(state)]
    return Invocation("ls", project, profiles, folder / "ls", _ANY_PARTITION, ["state:modified"], options=options)


def _list_models(ledger: Ledger, names: dict[str, NodeChange]) -> list[TouchedModel]:
    found = []
    for hit in find_models_on(ledger, names):
        uses = set(hit.features)
        removed = {name for each in names.values() for name in each.removed} & uses
        whole = any(each.whole for each in names.values())
        changed = uses if whole else {name for each in names.values() for name in each.changed} & uses
        found.append(TouchedModel(hit, tuple(sorted(removed)), tuple(sorted(changed - removed))))
    return found


def _list_checks(settings: Settings, manifest: DbtManifest, touched: dict[str, NodeChange]) -> list[tuple[str, str]]:
    tests = [(touched[node.tests].name, node.name) for node in manifest.nodes.values() if node.tests in touched]
    tables = {
        name_relation(node.relation)
        for id_ in touched
        if (node := manifest.nodes.get(id_)) is not None and node.relation
    }
    root = settings.expectations_dir
    targets = [(load_suite(root, name).target(), name) for name in list_suites(root)]
    return sorted(
        {*tests, *((target.dataset, name) for target, name in targets if name_relation(target.table) in tables)}
    )


def _list_exposures(
    manifest: DbtManifest, touched: dict[str, NodeChange], models: Sequence[TouchedModel] | None
) -> list[dict[str, Any]]:
    trained = None if models is None else {each.hit.model for each in models}
    reached = [
        node
        for node in manifest.nodes.values()
        if node.resource_type == "exposure" and not touched.keys().isdisjoint(node.upstream)
    ]
    return [_describe_exposure(node, trained) for node in sorted(reached, key=lambda node: node.name)]


def _describe_exposure(node: DbtNode, trained: set[str] | None) -> dict[str, Any]:
    is_model = node.exposure_type == "ml"
    return {
        "name": node.name,
        "type": node.exposure_type,
        "owner": node.owner.get("name") or node.owner.get("email"),
        "trained": node.name in trained if is_model and trained is not None else None,
    }
