"""Removing the files of versions that are neither in use nor among the newest; orchestration interpreter."""

from headrace.ledger import models
from headrace.ledger.database import Ledger
from headrace.ledger.query_models import list_versions, load_aliases
from headrace.ledger.views_models import DELETED
from headrace.registry.contents import prune_contents
from headrace.registry.deployment_files import locked_model
from headrace.registry.register import find_version_folder
from headrace.registry.trees import remove_tree
from headrace.settings import Settings


def prune_versions(ledger: Ledger, settings: Settings, model: str, keep: int) -> list[int]:
    """Remove what nothing answers with: from ``serving/`` at once, from the registry beyond the newest.

    A server holds what it answers with in memory, and goes on. With versions go the published contents that only they
    were trained on.

    Args:
        ledger: The ledger.
        settings: Of the main project.
        model: Name.
        keep: So many of the newest versions stay in the registry.

    Returns:
        The numbers that were deleted.
    """
    versions = list_versions(ledger, model)
    deleted = []
    for place, version in enumerate(versions):
        if version.aliases:
            continue
        _drop_served(ledger, settings, model, version.number)
        if place >= keep and version.state != DELETED:
            with ledger.begin() as connection:
                (again,) = [row for row in list_versions(connection, model) if row.number == version.number]
                if again.aliases:
                    continue  # promoted just now
                models.set_state(connection, version, DELETED, f"one of more than {keep} versions")
            drop_version(settings, model, version.number)
            deleted.append(version.number)
    if deleted:
        prune_contents(ledger, settings)
    return deleted


def drop_version(settings: Settings, model: str, number: int) -> None:
    """Remove a version's files.

    Raises:
        RegistryError: They could not all be removed.
    """
    remove_tree(settings.serving_dir / model / str(number))
    remove_tree(find_version_folder(settings, model, number))


def _drop_served(ledger: Ledger, settings: Settings, model: str, number: int) -> None:
    """Remove what servers load a version from, unless it was promoted meanwhile: that one places it under this lock."""
    with locked_model(settings, model):
        with ledger.connect() as connection:
            if number in load_aliases(connection, model).values():
                return
        remove_tree(settings.serving_dir / model / str(number))
