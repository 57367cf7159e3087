"""Registering a pushed model: a whole copy under its number, recorded with what is known of it; orchestration."""

import shutil
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from headrace.contracts.files import write_json
from headrace.contracts.pipeline import SOURCES_FILE
from headrace.exceptions import RegistryError
from headrace.ledger.database import Ledger
from headrace.ledger.models import add_version, find_registered
from headrace.ledger.statements import tell_time
from headrace.ledger.taints import taint_registered
from headrace.ledger.views_models import ModelVersionRow, VersionFacts
from headrace.registry.trees import as_registry_error, copy_tree, digest_tree, make_partial, name_tree, verify_tree
from headrace.settings import Settings

MODEL_FOLDER = "model"
VERSION_FILE = "version.json"
UNSAID = ("id", "aliases", "taints", "state", "state_why")
"""What of a version changes, and so is not in its file."""
PARAMETERS = "parameters"
"""In a version's file only: values of the runtime parameters that its run gave; null where they are not known."""
SAVED_MODEL = ("saved_model.pb", "saved_model.pbtxt")


def find_version_folder(settings: Settings, model: str, number: int) -> Path:
    """Return where a version is kept; its SavedModel is in ``model/`` there, with its manifest."""
    return settings.registry_dir / model / str(number)


def register_version(
    ledger: Ledger,
    settings: Settings,
    pushed: Path,
    facts: VersionFacts,
    *,
    sources: bytes | None = None,
    now: datetime | None = None,
) -> ModelVersionRow:
    """Keep a pushed model, and give it its number; the same content of the same run again is the version that it was.

    The copy is whole and on disk before the ledger knows the version: the folder gets its name within the ledger's
    transaction, which one process at a time holds. One that was killed there leaves a folder that the next replaces.

    Args:
        ledger: The ledger; it knows the run that trained the model.
        settings: Of the main project, whose registry it is.
        pushed: The folder that the Pusher wrote.
        facts: What is known of the model.
        sources: The packed sources of the pipeline, kept beside the model; None: not kept.
        now: The time; by default the clock's.

    Raises:
        RegistryError: The folder holds no whole SavedModel, or could not be copied; nothing was registered.
        LedgerError: It could not be recorded; nothing was registered.
    """
    manifest = digest_tree(pushed)
    if not set(SAVED_MODEL) & set(manifest.files):
        raise RegistryError(
            f"{pushed} holds no {SAVED_MODEL[0]}, which is written last: the push did not end, or pushed no "
            "SavedModel. Clear the Pusher's task to push again."
        )
    with ledger.connect() as connection:
        known = find_registered(connection, facts, manifest.digest)
    if known is not None and not verify_tree(
        find_version_folder(settings, facts.model, known.number) / MODEL_FOLDER, known.digest
    ):
        return known
    partial = make_partial(settings.registry_dir / facts.model / f"run-{manifest.digest[:16]}")
    try:
        copy_tree(pushed, partial / MODEL_FOLDER)
        with as_registry_error(f"register {pushed}"):
            manifest.write(partial / MODEL_FOLDER)
            if sources is not None:
                (partial / SOURCES_FILE).write_bytes(sources)
        if wrong := verify_tree(partial / MODEL_FOLDER, manifest.digest):
            raise RegistryError(f"{pushed} changed while it was registered ({wrong[0]}); nothing was registered.")
        with ledger.begin() as connection:
            version = find_registered(connection, facts, manifest.digest)
            version = version or add_version(connection, facts, manifest.digest, tell_time(now))
            taint_registered(connection, version, tell_time(now))
            with as_registry_error(f"register {pushed}"):
                document = {name: value for name, value in asdict(version).items() if name not in UNSAID}
                more = {"at": version.at.isoformat(), PARAMETERS: facts.parameters}
                write_json(partial / VERSION_FILE, {**document, **more})
                name_tree(partial, find_version_folder(settings, facts.model, version.number))
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return version
