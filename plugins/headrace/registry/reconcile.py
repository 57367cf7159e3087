"""Making the files say what the ledger says, whatever process was killed before; orchestration interpreter."""

import os
import shutil
import socket
from pathlib import Path

from headrace.contracts.deployment import CHAMPION
from headrace.exceptions import HeadraceError, LedgerError
from headrace.ledger.database import Ledger
from headrace.ledger.query_models import list_models, load_pending
from headrace.ledger.views_models import ModelRow
from headrace.registry.deploy import finish_deployment
from headrace.registry.deployment_files import is_written, write_deployment
from headrace.registry.trees import PARTIAL, read_owner
from headrace.settings import Settings


def reconcile(ledger: Ledger, settings: Settings) -> list[str]:
    """Write what the ledger says and the files do not, end what can be ended, and drop what killed processes left.

    Args:
        ledger: The ledger.
        settings: Of the main project, whose registry it is.

    Returns:
        What was done, and what could not be, in sentences; empty where all was well.
    """
    said = [f"removed {path.name}, which a killed process left" for path in _drop_partials(settings)]
    for row in list_models(ledger):
        try:
            said += _reconcile_model(ledger, settings, row)
        except LedgerError:
            raise
        except HeadraceError as error:
            said.append(error.message)
    return said


def _reconcile_model(ledger: Ledger, settings: Settings, row: ModelRow) -> list[str]:
    if not row.generation:
        return []
    said = []
    if not is_written(ledger, settings, row.model):
        written = write_deployment(ledger, settings, row.model)
        said.append(f"{row.model}: wrote what is deployed, generation {written.generation}")
        said += [
            f"{row.model}@{number} ({alias}) is left out: it is not whole in the registry"
            for alias, number in row.aliases.items()
            if number not in written.versions
        ]
    with ledger.connect() as connection:
        pending = load_pending(connection, row.model)
    if pending is not None and finish_deployment(ledger, settings, row.model, 0).servers:
        said.append(f"{row.model}: every server answers with version {row.aliases[CHAMPION]}")
    return said


def _drop_partials(settings: Settings) -> list[Path]:
    """Remove folders that a process was writing which runs no more on this machine."""
    dropped = []
    for root in (settings.registry_dir, settings.serving_dir):
        for path in root.glob(f"*/.*{PARTIAL}*"):
            owner = read_owner(path)
            if owner is not None and owner[0] == socket.gethostname() and not _runs(owner[1]):
                shutil.rmtree(path, ignore_errors=True)
                dropped.append(path)
    return dropped


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
