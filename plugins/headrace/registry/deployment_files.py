"""What the ledger says of deployments, written where servers read it; orchestration interpreter.

``serving/<model>/deployment.json`` is for Headrace's server, ``serving/models.config`` for TensorFlow Serving. Both are
written from the ledger, whole, under a lock, and never of a lower generation.
"""

import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from headrace.contracts.deployment import CHALLENGER, CHAMPION, DEPLOYMENT_FILE, PREVIOUS, Deployment
from headrace.contracts.files import ContractError, replace_file
from headrace.contracts.pipeline import CompiledPipeline
from headrace.exceptions import DeploymentError, RegistryError
from headrace.jobs.locks import take_lock
from headrace.ledger.database import Ledger
from headrace.ledger.query_models import list_blocked, list_models, load_aliases, load_generation, load_version
from headrace.registry.policy import PROMOTION, PromotionPolicy, parse_policy
from headrace.registry.register import MODEL_FOLDER, find_version_folder
from headrace.registry.trees import as_registry_error, copy_tree, verify_tree
from headrace.settings import Settings

MODELS_CONFIG = "models.config"
LOCK_FILE = ".lock"
LOCK_SECONDS = 60.0
UNTOLD = "It was decided, and servers are not told yet: once that is mended, 'headrace models reconcile' tells them."

log = logging.getLogger(__name__)


def load_policy(settings: Settings, model: str) -> PromotionPolicy:
    """Load the policy that a model's pipeline was compiled with; the default one where it says nothing."""
    try:
        metadata = CompiledPipeline.load(settings.compiled_pipeline_dir(model)).metadata
    except ContractError:  # of another project, or not compiled any more
        return PromotionPolicy()
    return parse_policy(metadata.get(PROMOTION))


def place_version(settings: Settings, model: str, number: int, digest: str) -> None:
    """Put a version where servers load it from, whole; nothing where it is there.

    Raises:
        RegistryError: The registry's copy is not what was registered, or it could not be copied.
    """
    with locked_model(settings, model):
        _place(settings, model, number, digest)


def _place(settings: Settings, model: str, number: int, digest: str) -> None:
    kept = find_version_folder(settings, model, number) / MODEL_FOLDER
    if wrong := verify_tree(kept, digest):
        raise RegistryError(
            f"{model}@{number} cannot be deployed: the registry's copy is not whole ({wrong[0]}). Clear the Pusher's "
            f"task of its run, which registers it again, or promote another version.",
            model=model, number=number,
        )  # fmt: skip
    served = settings.serving_dir / model / str(number)
    if verify_tree(served, digest):
        copy_tree(kept, served)


def write_deployment(ledger: Ledger, settings: Settings, model: str) -> Deployment:
    """Write what is to answer for a model, as the ledger says now.

    Without the champion nothing is written. Another alias whose version cannot be placed is left out: that what is to
    answer cannot be told for the sake of what does not would be worse.

    Raises:
        DeploymentError: It could not be written; servers go on with what they have.
    """
    try:
        with locked_model(settings, model):
            wanted = _place_aliases(settings, _read_wanted(ledger, model))
            there = read_deployment(settings, model)
            if there is not None and not _differ(there, wanted) and there.generation >= wanted.generation:
                wanted = there
            else:
                if there is not None and there.generation >= wanted.generation:  # the ledger is older: it was restored
                    wanted = replace(wanted, generation=there.generation + 1)
                with as_registry_error(f"write {settings.serving_dir / model / DEPLOYMENT_FILE}", UNTOLD):
                    wanted.write(settings.serving_dir / model)
        with _locked(settings.serving_dir, f"deploy {model}"), as_registry_error(f"write {MODELS_CONFIG}", UNTOLD):
            replace_file(settings.serving_dir / MODELS_CONFIG, _render_config(ledger, settings).encode())
    except DeploymentError:
        raise
    except RegistryError as error:
        said = error.message if UNTOLD in error.message else f"{error.message} {UNTOLD}"
        raise DeploymentError(said, model=model) from error
    return wanted


def is_written(ledger: Ledger, settings: Settings, model: str) -> bool:
    """Return whether servers are told what the ledger says, and what they are told of is there."""
    there, wanted = read_deployment(settings, model), _read_wanted(ledger, model)
    if there is None or there.generation < wanted.generation or _differ(there, wanted):
        return False
    if not all((settings.serving_dir / model / str(number)).is_dir() for number in wanted.versions):
        return False
    try:
        return (settings.serving_dir / MODELS_CONFIG).read_text() == _render_config(ledger, settings)
    except OSError:
        return False


def _read_wanted(ledger: Ledger, model: str) -> Deployment:
    with ledger.connect() as connection:
        aliases = load_aliases(connection, model)
        versions = {number: load_version(connection, model, number).digest for number in set(aliases.values())}
        return Deployment(
            model, load_generation(connection, model), versions, aliases, tuple(list_blocked(connection, model)),
            datetime.now(UTC).isoformat(),
        )  # fmt: skip


def _differ(one: Deployment, other: Deployment) -> bool:
    return replace(one, generation=0, at="") != replace(other, generation=0, at="")


def _place_aliases(settings: Settings, wanted: Deployment) -> Deployment:
    """Place what is to answer; return it without what cannot be placed and is not the champion."""
    left = set()
    for number, digest in wanted.versions.items():
        if (settings.serving_dir / wanted.model / str(number)).is_dir():
            continue  # it was verified when it was decided; servers verify it again
        try:
            _place(settings, wanted.model, number, digest)
        except RegistryError as error:
            if number == wanted.aliases.get(CHAMPION):
                raise
            log.error("%s@%d is left out of what servers are told: %s", wanted.model, number, error.message)
            left.add(number)
    return replace(
        wanted,
        versions={number: digest for number, digest in wanted.versions.items() if number not in left},
        aliases={alias: number for alias, number in wanted.aliases.items() if number not in left},
    )


def _render_config(ledger: Ledger, settings: Settings) -> str:
    with ledger.connect() as connection:
        deployed = {row.model: row.aliases for row in list_models(connection) if row.aliases}
    return render_models_config(settings.serving_dir, deployed)


def read_deployment(settings: Settings, model: str) -> Deployment | None:
    """Return what servers are told of a model; None where that is nothing, or cannot be read."""
    try:
        return Deployment.load(settings.serving_dir / model)
    except ContractError:
        return None


def render_models_config(serving_dir: Path, models: Mapping[str, Mapping[str, int]]) -> str:
    """Render TensorFlow Serving's ``ModelServerConfig`` in protobuf's text format.

    A request without a label is answered by the highest version that is loaded: ``previous`` is loaded only where it
    is lower than ``champion``, and the challenger is a model of its own, ``<model>_challenger``.

    Args:
        serving_dir: Absolute.
        models: By model, the numbers of its aliases.
    """
    blocks = []
    for model in sorted(models):
        aliases = models[model]
        champion, previous = aliases.get(CHAMPION), aliases.get(PREVIOUS)
        loaded = {} if champion is None else {CHAMPION: champion}
        if champion is not None and previous is not None and previous < champion:
            loaded[PREVIOUS] = previous
        if loaded:
            blocks.append(_render_model(model, serving_dir / model, loaded))
        if CHALLENGER in aliases:
            challenger = {CHALLENGER: aliases[CHALLENGER]}
            blocks.append(_render_model(f"{model}_{CHALLENGER}", serving_dir / model, challenger))
    return f"model_config_list {{\n{''.join(blocks)}}}\n"


def _render_model(name: str, folder: Path, loaded: Mapping[str, int]) -> str:
    versions = " ".join(f"versions: {number}" for number in dict.fromkeys(loaded.values()))
    labels = "".join(
        f'    version_labels {{ key: "{alias}" value: {number} }}\n' for alias, number in sorted(loaded.items())
    )
    return (
        f"  config {{\n    name: {json.dumps(name)}\n    base_path: {json.dumps(str(folder))}\n"
        f'    model_platform: "tensorflow"\n    model_version_policy {{ specific {{ {versions} }} }}\n{labels}  }}\n'
    )


@contextmanager
def locked_model(settings: Settings, model: str) -> Iterator[None]:
    """Hold what servers are told of a model: while it is written, and while files are placed or removed for it."""
    with _locked(settings.serving_dir / model, f"deploy {model}"):
        yield


@contextmanager
def _locked(folder: Path, what: str) -> Iterator[None]:
    with as_registry_error(what):
        folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_FILE).open("a") as lock:
        give_up = time.monotonic() + LOCK_SECONDS
        while not take_lock(lock):
            if time.monotonic() > give_up:
                raise RegistryError(f"Could not {what}: another process has held {folder / LOCK_FILE} for a minute.")
        yield
