"""Airflow for the length of a command: set up what DAGs are built from, start, and stop on every way out."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from headrace.cli.airflow_api import AirflowApi
from headrace.cli.airflow_stack import STACK_FILE, AirflowStack
from headrace.cli.compile import compile_all, find_compilable
from headrace.cli.stack_runtime import StackRuntime
from headrace.cli.stop_signals import STOP_SIGNALS
from headrace.contracts.files import ContractError, read_json
from headrace.exceptions import ConfigurationError
from headrace.jobs.processes import is_alive
from headrace.settings import Settings


@contextmanager
def running_stack(
    settings: Settings, console: Console, warm: bool = False
) -> Iterator[tuple[AirflowStack, AirflowApi]]:
    """Compile what has changed, start Airflow, and stop it when the block is left, however it is left.

    The warm TFX runtime, unless it ran before, is stopped too; ``warm``: it is started before a task asks for it.
    What cannot be compiled is said and does not keep Airflow from starting: Airflow shows the DAG's error too.
    """

    def say(message: str) -> None:
        console.print(message, highlight=False, markup=False)

    stack = AirflowStack(settings)
    stack.refuse_second()
    for name in find_compilable(settings):
        try:
            compile_all(settings, [name], say=say)
        except ConfigurationError as error:
            say(f"{error.message}\nA DAG that needs {name} does not load until this is mended; the others do.")
    stack.refuse_second()
    runtime = StackRuntime(settings, stack.environment())
    try:
        stack.start(say)
        api = AirflowApi(stack.url)
        with console.status("waiting until Airflow is ready"):
            stack.wait_until_ready(api)
        say(f"Airflow is at {stack.url}")
        if warm:
            runtime.warm_up(say)
        yield stack, api
    finally:
        # A second Ctrl-C must not leave half of it running.
        handlers = {stop: signal.signal(stop, signal.SIG_IGN) for stop in STOP_SIGNALS}
        try:
            with console.status("stopping Airflow"):
                stack.stop()
                runtime.end()
            say("Airflow has stopped")
        finally:
            for stop, handler in handlers.items():
                signal.signal(stop, handler)


def find_running_api(settings: Settings) -> AirflowApi | None:
    """Return a client of the Airflow that ``headrace up`` started for this project; None where none runs."""
    try:
        stack = read_json(settings.state_dir / STACK_FILE)
    except ContractError:
        return None
    if not is_alive(stack["pid"], stack["started"]):
        return None
    return AirflowApi(stack["url"], os.environ.get("AIRFLOW_API_TOKEN"))
