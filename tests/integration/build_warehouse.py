"""Runs in a process of its own: parses a dbt project, lands partitions and builds each, keeping dbt's artifacts.

Arguments: a JSON file with ``project``, ``landing_dir``, ``warehouse``, ``target``, ``keys`` and ``commands``
(lists of dbt arguments to run after landing). Prints nothing of its own; exits 0 whatever dbt says.
"""

import json
import shutil
import sys
from pathlib import Path


def main(spec: dict) -> None:
    from dbt.cli.main import dbtRunner

    from headrace.warehouse.landing import land_partition, load_landing_tables

    target = Path(spec["target"])
    common = ["--project-dir", spec["project"], "--profiles-dir", spec["project"], "--target-path", str(target)]
    common += ["--log-path", str(target / "logs")]
    parsed = dbtRunner().invoke(["--quiet", "parse", *common])
    if parsed.exception:
        raise parsed.exception
    tables = load_landing_tables(target / "manifest.json")
    for key in spec["keys"]:
        land_partition(Path(spec["warehouse"]), Path(spec["landing_dir"]), tables, key)
    for number, command in enumerate(spec["commands"]):
        dbtRunner(manifest=parsed.result).invoke(["--quiet", *command, *common])
        results = target / "run_results.json"
        if results.exists():
            shutil.copy(results, target / f"run_results_{number}.json")


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
