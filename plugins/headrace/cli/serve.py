"""``headrace serve``: becomes the model server, in the TFX interpreter."""

import ipaddress
import os
import sys
from collections.abc import Sequence

from rich.console import Console

from headrace.cli.project_ledger import open_project_ledger
from headrace.exceptions import ConfigurationError, HeadraceError
from headrace.jobs.environment import build_worker_environment
from headrace.registry.reconcile import reconcile
from headrace.settings import Settings, load_serving_settings

TOKEN_VARIABLE = "HEADRACE_SERVING_TOKEN"


def start_server(
    settings: Settings, console: Console, models: Sequence[str], host: str, port: int, advertise: str | None = None
) -> None:
    """Replace this process by the server; returns never.

    Raises:
        ConfigurationError: There is no TFX interpreter, or no token for an address that others can reach.
    """
    serving = load_serving_settings()
    if serving.token is None and not _is_loopback(host):
        raise ConfigurationError(
            f"{host} can be reached from other machines: set a token first, [headrace] serving_token_file in "
            "airflow.cfg or AIRFLOW__HEADRACE__SERVING_TOKEN_FILE; or serve on 127.0.0.1."
        )
    if not settings.tfx_python.exists():
        raise ConfigurationError(f"There is no TFX interpreter at {settings.tfx_python}: run 'make setup'.")
    _reconcile(settings, console)
    settings.serving_dir.mkdir(parents=True, exist_ok=True)
    environment = build_worker_environment(settings.state_dir)
    if serving.token is not None:
        environment[TOKEN_VARIABLE] = serving.token  # not an argument: those are everybody's to read
    command = [
        *(str(settings.tfx_python), "-m", "headrace.tfx_worker", "serve"),
        *("--serving-dir", str(settings.serving_dir), "--log-dir", str(settings.prediction_log_dir)),
        *("--log-share", str(serving.log_share), "--host", host, "--port", str(port)),
        *(["--advertise", advertise] if advertise else []),
        *(["--ignore-extra"] if serving.ignore_extra else []),
        *("--", *models),
    ]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(command[0], command, environment)


def _reconcile(settings: Settings, console: Console) -> None:
    """Heal what a killed deployment left; a folder of models without a ledger is served as it is."""
    if settings.ledger_conn_id is None and not settings.ledger_path.is_file():
        return
    try:
        with open_project_ledger(settings) as ledger:
            for done in reconcile(ledger, settings):
                console.print(done, highlight=False, markup=False)
    except HeadraceError as error:  # models are to answer also while the ledger is away
        console.print(f"serving what was deployed last: {error.message}", highlight=False, markup=False)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
