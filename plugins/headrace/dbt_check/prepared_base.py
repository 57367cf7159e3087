"""A sample with the models as they were at a commit, kept for as long as it is right; orchestration interpreter."""

import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from headrace.contracts.files import ContractError, read_json, replace_file, write_json
from headrace.dbt.base import Base, export_folder
from headrace.dbt.invocation import Invocation, NodeEnd, run_dbt
from headrace.dbt.profiles import build_profiles
from headrace.exceptions import ConfigurationError, DbtRunError
from headrace.warehouse.sampling import SampledTable, SamplePlan, write_sample

QUIET = ("--log-level", "none")
KEPT_BASES = 3
_BUILT = tuple(part for kind in ("model", "seed", "snapshot") for part in ("--resource-type", kind))


@dataclass(frozen=True)
class Prepared:
    """A sample that is ready.

    Attributes:
        plan: What it holds.
        tables: Its raw tables.
        failing: Ids of dbt's tests that fail on it without any change.
    """

    plan: SamplePlan
    tables: tuple[SampledTable, ...]
    failing: frozenset[str]


class PreparedBase:
    """What is kept of one commit.

    Args:
        base: The commit.
        project_dir: The dbt project as it is now.
        folder: Of all checks; what is kept of a commit lies in ``base/<commit>/``.
        database: The file in which dbt works, always of one name: views name the database that they are in.
    """

    def __init__(self, base: Base, project_dir: Path, folder: Path, database: Path) -> None:
        self.base, self.project_dir, self.database = base, project_dir, database
        self.folder = folder / "base" / base.commit
        self.pristine = self.folder / "sample.duckdb"
        self._prepared = self.folder / "prepared.json"

    @property
    def state(self) -> Path | None:
        """The folder of dbt's manifest of then; None where there was no dbt project."""
        target = self.folder / "target"
        return target if (target / "manifest.json").is_file() else None

    def load(self) -> Prepared | None:
        """Load what is kept; None where nothing whole is."""
        try:
            document = read_json(self._prepared)
        except ContractError:
            return None
        plan = document["plan"]
        plan |= {"warehouse": Path(plan["warehouse"]), "partitions": tuple(plan["partitions"])}
        plan["tables"] = tuple((str(name), bool(has)) for name, has in plan["tables"])
        tables = tuple(SampledTable(**each) for each in document["tables"])
        return Prepared(SamplePlan(**plan), tables, frozenset(document["failing"]))

    def prepare(self, plan: SamplePlan, say: Callable[[str], None]) -> Prepared:
        """Return what is kept, or make it; then put a copy of it where dbt works.

        Raises:
            DbtRunError: The project as it was then cannot be built on the sample.
            WarehouseLockedError: A process is writing to the warehouse.
        """
        prepared = self.load()
        if prepared is None or prepared.plan != plan:
            say(f"Making a sample of {plan.rows:,} rows a partition, with the models of {self.base.name} …")
            prepared = self._make(plan)
            _forget_old(self.folder.parent)
        os.utime(self.folder)
        _remove_database(self.database)
        shutil.copyfile(self.pristine, self.database)
        return prepared

    def _make(self, plan: SamplePlan) -> Prepared:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        _remove_database(self.database)
        tables = tuple(write_sample(plan, self.database))
        failing = self._build(plan)
        shutil.copyfile(self.database, self.pristine)
        prepared = Prepared(plan, tables, failing)
        # Last: without it nothing of the rest counts.
        document = {"plan": {**asdict(plan), "warehouse": str(plan.warehouse)}, "failing": sorted(failing)}
        write_json(self._prepared, {**document, "tables": [asdict(each) for each in tables]})
        return prepared

    def _build(self, plan: SamplePlan) -> frozenset[str]:
        """Build the models as they were; return the tests that fail all the same."""
        sources = self.folder / "project"
        if not export_folder(self.base, self.project_dir, sources):
            return frozenset()
        profiles = self.folder / "profiles.yml"
        write_profiles(sources if (sources / "profiles.yml").is_file() else self.project_dir, profiles, self.database)
        ends: list[NodeEnd] = []
        variables = {} if plan.newest is None else {"partition_key": plan.newest}
        options = (*QUIET, *_BUILT)
        build = Invocation("build", sources, profiles, self.folder / "target", variables, options=options)
        if not run_dbt(build, ends.append):
            told = [f"{each.unique_id}: {' '.join(each.message.split())}" for each in ends if each.status == "error"]
            raise DbtRunError(
                f"The models of {self.base.name} cannot be built on the sample: {'; '.join(told)}"[:2_000]
            )
        tests = Invocation(
            "test", sources, profiles, self.folder / "tests", variables, select=["test_type:data"], options=QUIET
        )
        ends.clear()
        run_dbt(tests, ends.append)
        return frozenset(each.unique_id for each in ends if each.status in ("fail", "error", "warn"))


def write_profiles(project: Path, profiles: Path, database: Path) -> None:
    """Write a project's own profile with its warehouse replaced.

    Raises:
        ConfigurationError: The project has no profile, or its target is not DuckDB.
    """
    document = build_profiles(project)
    for profile in document.values():
        for output in profile["outputs"].values():
            if output.get("type") != "duckdb":
                raise ConfigurationError(
                    f"The dbt target of {project} is of type {output.get('type')!r}, and check-dbt makes its sample in "
                    "DuckDB: use `dbt build --select state:modified+ --defer` there."
                )
            output["path"] = str(database)
    profiles.parent.mkdir(parents=True, exist_ok=True)
    replace_file(profiles, yaml.safe_dump(document).encode(), mode=0o600)


def _remove_database(path: Path) -> None:
    for file in (path, path.with_name(f"{path.name}.wal")):
        file.unlink(missing_ok=True)


def _forget_old(folder: Path) -> None:
    """Remove what was kept of all but the commits that were used last."""
    newest_first = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in newest_first[KEPT_BASES:]:
        shutil.rmtree(old)
