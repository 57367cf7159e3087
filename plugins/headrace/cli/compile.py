"""``headrace compile``: dbt's manifest and docs, and each TFX pipeline's IR and nodes, from which DAGs are built."""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from headrace.cli.compile_build import write_build
from headrace.contracts.files import (
    ContractError,
    fingerprint_files,
    make_private_folder,
    read_json,
    replace_file,
    write_json,
)
from headrace.contracts.lineage import Lineage
from headrace.contracts.pipeline import CompiledPipeline
from headrace.dbt.profiles import build_profiles
from headrace.exceptions import ConfigurationError
from headrace.jobs.compile import compile_pipeline, run_command
from headrace.lineage.project import describe_unknown_reader, list_unknown_readers, load_project_lineage
from headrace.settings import Settings

DBT_SOURCES_FILE = "sources.json"
PROFILE_SOURCE = "the dbt profile"
DBT_SUFFIXES = frozenset({".sql", ".yml", ".yaml", ".csv", ".md", ".py"})
DBT_GENERATED = frozenset({"target", "logs", "dbt_packages"})


@dataclass(frozen=True)
class Compiled:
    """One thing that was compiled, or was up to date.

    Attributes:
        name: ``dbt`` or the pipeline's name.
        changed: Files that had changed since; empty where it was up to date.
        folder: Where the result lies.
    """

    name: str
    changed: tuple[str, ...]
    folder: Path


def compile_all(
    settings: Settings, names: Iterable[str] = (), force: bool = False, say: Callable[[str], None] = print
) -> list[Compiled]:
    """Compile what has changed.

    Args:
        settings: Of the project.
        names: ``dbt`` or names of pipelines; empty: everything that the project has.
        force: Compile also what is up to date.
        say: Told what is being done.

    Raises:
        ConfigurationError: A name is unknown, an interpreter is missing, or a source is wrong; the message holds
            what dbt or the pipeline said.
    """
    known = find_compilable(settings)
    wanted = list(names) or known
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ConfigurationError(
            f"Nothing called {', '.join(unknown)} to compile; there is {', '.join(known) or 'nothing'}."
        )
    compiled = [
        _compile_dbt(settings, force, say) if name == "dbt" else _compile_tfx(settings, name, force, say)
        for name in wanted
    ]
    _write_lineage(settings)
    for pipeline in list_unknown_readers(settings):
        say(describe_unknown_reader(pipeline))
    return compiled


def find_compilable(settings: Settings) -> list[str]:
    """Return ``dbt``, if the project has a dbt project, and the names of its pipelines."""
    dbt = ["dbt"] if (settings.dbt_project_dir / "dbt_project.yml").is_file() else []
    return dbt + find_pipelines(settings)


def find_pipelines(settings: Settings) -> list[str]:
    """Return the names of the folders that hold a ``pipeline.py``."""
    return sorted(file.parent.name for file in settings.tfx_pipelines_dir.glob("*/pipeline.py"))


def changed_dbt_sources(settings: Settings) -> list[str]:
    """Return the dbt project's files that differ from those that the manifest was made from."""
    now = _fingerprint_dbt(settings.dbt_project_dir)
    try:
        then = read_json(settings.dbt_manifest.parent / DBT_SOURCES_FILE)["sources"]
    except ContractError:
        return sorted(now)
    return sorted(name for name in now.keys() | then.keys() if now.get(name) != then.get(name))


def changed_pipeline_sources(settings: Settings, pipeline: str) -> list[str]:
    """Return the files of a pipeline that differ from those that were compiled."""
    try:
        compiled = CompiledPipeline.load(settings.compiled_pipeline_dir(pipeline))
    except ContractError:
        return [f"{pipeline}/pipeline.py"]
    return compiled.changed_sources(settings.tfx_pipelines_dir)


def is_lineage_stale(settings: Settings) -> bool:
    """Return whether the graph of datasets was never written, or not since something that it is made from changed."""
    try:
        return Lineage.load(settings.lineage_file).fingerprint != load_project_lineage(settings).fingerprint
    except ContractError:
        return True


def _write_lineage(settings: Settings) -> None:
    """Write the graph of datasets, always: suites are part of it and have nothing else to compile."""
    make_private_folder(settings.state_dir)
    load_project_lineage(settings).write(settings.lineage_file)


def _compile_dbt(settings: Settings, force: bool, say: Callable[[str], None]) -> Compiled:
    import yaml

    folder = settings.dbt_manifest.parent
    changed = changed_dbt_sources(settings)
    if not changed and settings.dbt_manifest.is_file() and not force:
        return Compiled("dbt", (), folder)
    say(f"compiling dbt project {settings.dbt_project_dir.name}")
    sources = _fingerprint_dbt(settings.dbt_project_dir)
    make_private_folder(settings.state_dir)
    folder.mkdir(parents=True, exist_ok=True)
    # For its owner only: a user's profile may hold a password.
    replace_file(settings.dbt_profiles, yaml.safe_dump(build_profiles(settings.dbt_project_dir)).encode(), mode=0o600)
    dbt = Path(sys.executable).with_name("dbt")
    if not dbt.exists():
        raise ConfigurationError(f"There is no dbt beside {sys.executable}: run 'make setup'.")
    run = [str(dbt), "--no-use-colors", "--no-send-anonymous-usage-stats", "--log-path", str(folder / "logs")]
    where = [
        "--project-dir",
        str(settings.dbt_project_dir),
        "--profiles-dir",
        str(folder),
        "--target-path",
        str(folder),
    ]
    if (settings.dbt_project_dir / "packages.yml").is_file():
        run_command([*run, "deps", *where[:4]], dict(os.environ), "dbt deps")
    # Neither opens the warehouse, which a task may hold.
    run_command([*run, "parse", *where], dict(os.environ), "dbt parse")
    run_command(
        [*run, "docs", "generate", "--no-compile", "--empty-catalog", *where], dict(os.environ), "dbt docs generate"
    )
    write_json(folder / DBT_SOURCES_FILE, {"sources": sources})
    return Compiled("dbt", tuple(changed), folder)


def _compile_tfx(settings: Settings, pipeline: str, force: bool, say: Callable[[str], None]) -> Compiled:
    folder = settings.compiled_pipeline_dir(pipeline)
    changed = changed_pipeline_sources(settings, pipeline)
    if not changed and not force:
        return Compiled(pipeline, (), folder)
    say(f"compiling TFX pipeline {pipeline}")
    compile_pipeline(settings.tfx_python, settings.tfx_pipelines_dir, pipeline, folder, settings.state_dir)
    write_build(settings, pipeline)
    return Compiled(pipeline, tuple(changed), folder)


def _fingerprint_dbt(project: Path) -> dict[str, str]:
    """Return the digests of the project's files, and of the profile as it stands now, wherever it comes from."""
    profile = json.dumps(build_profiles(project), sort_keys=True).encode()
    return {
        **fingerprint_files(project, _dbt_files(project)),
        PROFILE_SOURCE: hashlib.sha256(profile).hexdigest(),
    }


def _dbt_files(project: Path) -> list[str]:
    files = (file.relative_to(project) for file in project.rglob("*") if file.suffix in DBT_SUFFIXES)
    return sorted(str(file) for file in files if not DBT_GENERATED.intersection(file.parts))
