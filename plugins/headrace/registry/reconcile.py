"""Making the files say what the ledger says, whatever process was killed before; orchestration interpreter."""

import os
import shutil
import socket
from pathlib import Path

from headrace.contracts.deployment import CHAMPION
from headrace.exceptions import RegistryError
from headrace.ledger.database import Ledger
from headrace.ledger.query_models import list_deployments, list_models
from headrace.ledger.views_models import ModelRow
from headrace.registry.deploy import finish_deployment
from headrace.registry.deployment_files import MODELS_CONFIG, read_deployment, write_deployment
from headrace.registry.trees import PARTIAL
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
        except RegistryError as error:
            said.append(error.message)
    return said


def _reconcile_model(ledger: Ledger, settings: Settings, row: ModelRow) -> list[str]:
    if not row.generation:
        return []
    said = []
    written = read_deployment(settings, row.model)
    placed = all((settings.serving_dir / row.model / str(number)).is_dir() for number in row.aliases.values())
    config = (settings.serving_dir / MODELS_CONFIG).is_file()
    if written is None or written.generation < row.generation or not placed or not config:
        write_deployment(ledger, settings, row.model)
        said.append(f"{row.model}: wrote what is deployed, generation {row.generation}")
    (newest,) = list_deployments(ledger, row.model, limit=1)
    if newest.state == "pending" and finish_deployment(ledger, settings, row.model, 0).servers:
        said.append(f"{row.model}: every server answers with version {row.aliases[CHAMPION]}")
    return said


def _drop_partials(settings: Settings) -> list[Path]:
    """Remove folders that a process was writing which runs no more on this machine."""
    dropped = []
    for root in (settings.registry_dir, settings.serving_dir):
        for path in root.glob(f"*/.*{PARTIAL}*"):
            host, _, pid = path.name.rpartition(PARTIAL)[2].rpartition("-")
            if host == socket.gethostname() and pid.isdecimal() and not _runs(int(pid)):
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
