"""What the ledger says of deployments, written where servers read it; orchestration interpreter.

``serving/<model>/deployment.json`` is for Headrace's server, ``serving/models.config`` for TensorFlow Serving. Both are
written from the ledger, whole, under a lock, and never of a lower generation.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from headrace.contracts.deployment import CHALLENGER, CHAMPION, DEPLOYMENT_FILE, PREVIOUS, Deployment
from headrace.contracts.files import ContractError, replace_file
from headrace.contracts.pipeline import CompiledPipeline
from headrace.exceptions import RegistryError
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

    Raises:
        RegistryError: It could not be written; servers go on with what they have.
    """
    folder = settings.serving_dir / model
    with _locked(folder, f"deploy {model}"):
        with ledger.connect() as connection:
            aliases = load_aliases(connection, model)
            versions = {number: load_version(connection, model, number).digest for number in set(aliases.values())}
            wanted = Deployment(
                model, load_generation(connection, model), versions, aliases, tuple(list_blocked(connection, model)),
                datetime.now(UTC).isoformat(),
            )  # fmt: skip
        for number, digest in versions.items():
            if not (folder / str(number)).is_dir():  # it was verified when it was decided; servers verify it again
                place_version(settings, model, number, digest)
        there = read_deployment(settings, model)
        if there is not None and there.generation > wanted.generation:
            return there  # written after this was read
        with as_registry_error(f"write {folder / DEPLOYMENT_FILE}"):
            wanted.write(folder)
    with _locked(settings.serving_dir, f"deploy {model}"), as_registry_error(f"write {MODELS_CONFIG}"):
        with ledger.connect() as connection:
            deployed = {row.model: row.aliases for row in list_models(connection) if row.aliases}
        content = render_models_config(settings.serving_dir, deployed)
        replace_file(settings.serving_dir / MODELS_CONFIG, content.encode())
    return wanted


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
def _locked(folder: Path, what: str) -> Iterator[None]:
    with as_registry_error(what):
        folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_FILE).open("a") as lock:
        give_up = time.monotonic() + LOCK_SECONDS
        while not take_lock(lock):
            if time.monotonic() > give_up:
                raise RegistryError(f"Could not {what}: another process has held {folder / LOCK_FILE} for a minute.")
        yield
