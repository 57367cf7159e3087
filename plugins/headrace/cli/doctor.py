"""``headrace doctor``: what a project needs, what of it is missing, and how to get it."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from headrace.cli.compile import changed_dbt_sources, changed_pipeline_sources, find_pipelines, is_lineage_stale
from headrace.dbt.profiles import load_warehouse_path
from headrace.exceptions import HeadraceError
from headrace.gx.suites import list_suites
from headrace.ledger.database import connect_ledger
from headrace.ledger.heartbeats import NOTIFIER, load_heartbeat_detail
from headrace.ledger.schema import HEAD
from headrace.ledger_connection import resolve_ledger_url
from headrace.lineage.project import describe_unknown_reader, list_unknown_readers
from headrace.notifications.parse_routes import describe_lost_file, load_routes
from headrace.settings import Settings

PACKAGES = (
    "apache-airflow",
    "astronomer-cosmos",
    "dbt-core",
    "dbt-duckdb",
    "duckdb",
    "great-expectations",
    "sqlalchemy",
)
WANTED_DISK_GB = 5


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: What was looked at.
        ok: Whether it is as it should be.
        found: What was found.
        remedy: What to do where it is not ok.
        needed: False where it is only good to have.
    """

    name: str
    ok: bool
    found: str
    remedy: str = ""
    needed: bool = True


def examine(settings: Settings) -> list[Finding]:
    """Look at everything that a project needs; changes nothing."""
    looks: list[Callable[[Settings], Iterator[Finding]]] = [
        _examine_packages,
        _examine_tfx,
        _examine_dbt,
        _examine_expectations,
        _examine_pipelines,
        _examine_lineage,
        _examine_ledger,
        _examine_notifications,
        _examine_machine,
    ]
    return [finding for look in looks for finding in look(settings)]


def _examine_packages(_: Settings) -> Iterator[Finding]:
    here = f"Python {sys.version_info.major}.{sys.version_info.minor} at {sys.executable}"
    yield Finding(
        "Airflow's interpreter", sys.version_info[:2] in ((3, 11), (3, 12), (3, 13)), here, "use Python 3.11 to 3.13"
    )
    for package in PACKAGES:
        try:
            yield Finding(package, True, version(package))
        except PackageNotFoundError:
            yield Finding(package, False, "not installed", "run 'make setup'")


def _examine_tfx(settings: Settings) -> Iterator[Finding]:
    if not settings.tfx_python.exists():
        remedy = "run 'make setup', or set tfx_python in airflow.cfg's [headrace] section"
        yield Finding("TFX interpreter", False, f"{settings.tfx_python} does not exist", remedy)
        return
    code = "import sys; from importlib.metadata import version as v; print('%d.%d' % sys.version_info[:2], v('tfx'))"
    shown = subprocess.run([settings.tfx_python, "-c", code], capture_output=True, text=True, check=False)
    if shown.returncode != 0:
        said = (shown.stderr.strip().splitlines() or ["no message"])[-1]
        yield Finding("TFX interpreter", False, f"{settings.tfx_python}: {said}", "run 'make setup'")
        return
    python, tfx = shown.stdout.split()
    yield Finding("TFX interpreter", True, f"Python {python} with tfx {tfx} at {settings.tfx_python}")


def _examine_dbt(settings: Settings) -> Iterator[Finding]:
    try:
        warehouse = load_warehouse_path(settings.dbt_project_dir)
    except HeadraceError as error:
        yield Finding("dbt project", False, error.message, "see docs/bring-your-own-project.md")
        return
    found = (
        f"{warehouse} ({warehouse.stat().st_size / 1e6:.0f} MB)" if warehouse.exists() else f"{warehouse}, not made yet"
    )
    yield Finding("dbt project", True, f"{settings.dbt_project_dir}, warehouse {found}")
    changed = changed_dbt_sources(settings)
    yield Finding("dbt manifest", not changed, _describe_changed(changed), "run 'headrace compile'")


def _examine_expectations(settings: Settings) -> Iterator[Finding]:
    suites = list_suites(settings.expectations_dir)
    found = ", ".join(suites) or f"no suite in {settings.expectations_dir / 'expectations'}"
    yield Finding("expectation suites", bool(suites), found, "add a suite: see docs/analysts.md")


def _examine_pipelines(settings: Settings) -> Iterator[Finding]:
    for pipeline in find_pipelines(settings):
        changed = changed_pipeline_sources(settings, pipeline)
        yield Finding(f"TFX pipeline {pipeline}", not changed, _describe_changed(changed), "run 'headrace compile'")


def _examine_lineage(settings: Settings) -> Iterator[Finding]:
    try:
        stale, unknown = is_lineage_stale(settings), list_unknown_readers(settings)
    except HeadraceError as error:
        yield Finding("lineage", False, error.message, "run 'headrace compile'")
        return
    for pipeline in unknown:
        remedy = f'say it as "reads" in {pipeline}/headrace.json; see docs/ml-engineers.md'
        yield Finding(f"what {pipeline} reads", False, describe_unknown_reader(pipeline), remedy, needed=False)
    found = "not compiled, or its suites, models or pipelines changed since" if stale else "compiled, up to date"
    yield Finding("lineage", not stale, found, "run 'headrace compile'; without it failures are not grouped by cause")


def _examine_ledger(settings: Settings) -> Iterator[Finding]:
    if settings.ledger_conn_id is None and not settings.ledger_path.exists():
        yield Finding("ledger", True, f"{settings.ledger_path}, not made yet: the first task that records makes it")
        return
    try:
        with connect_ledger(resolve_ledger_url(settings)) as ledger:
            ledger.check()
            yield Finding("ledger", True, f"{ledger.place}, version {HEAD}")
    except HeadraceError as error:
        remedy = "see docs/on-call.md" if settings.ledger_conn_id is None else "check the connection in ledger_conn_id"
        yield Finding("ledger", False, error.message, remedy)


def _examine_notifications(settings: Settings) -> Iterator[Finding]:
    file = settings.notifications_file
    if not file.exists() and _was_routed(settings):
        remedy = f"put {file} back, or write one that holds 'routes: []'"
        yield Finding("notifications", False, describe_lost_file(file), remedy)
        return
    if not file.exists():
        remedy = "write one where somebody is to be told; see docs/notifications.md"
        yield Finding("notifications", False, f"{file} does not exist: nobody is told", remedy, needed=False)
        return
    routes = load_routes(file)
    found = "; ".join(routes.problems) or f"{file}: {', '.join(routes.routes) or 'no routes'}"
    yield Finding("notifications", not routes.problems, found, f"mend {file}; see docs/notifications.md")


def _was_routed(settings: Settings) -> bool:
    """Return whether a notifier of this ledger ever saw a routes' file."""
    if settings.ledger_conn_id is None and not settings.ledger_path.exists():
        return False
    try:
        with connect_ledger(resolve_ledger_url(settings)) as ledger:
            ledger.check()
            return bool(load_heartbeat_detail(ledger, NOTIFIER).get("file_was_there"))
    except HeadraceError:
        return False  # what is wrong with the ledger is a finding of its own


def _examine_machine(settings: Settings) -> Iterator[Finding]:
    place = settings.state_dir if settings.state_dir.exists() else settings.project_dir
    free = shutil.disk_usage(place).free / 1e9
    yield Finding(
        "free disk", free >= WANTED_DISK_GB, f"{free:.0f} GB at {place}", f"make room: {WANTED_DISK_GB} GB are wanted"
    )


def _describe_changed(changed: list[str]) -> str:
    if not changed:
        return "compiled, up to date"
    return f"not compiled since these changed: {', '.join(changed[:5])}{' …' if len(changed) > 5 else ''}"
