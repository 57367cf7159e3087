"""One invocation of dbt in a process that ends as a task's does: without Python's own end."""

import json
import os
import subprocess
import sys
from pathlib import Path

RUN = """
import os, sys
from pathlib import Path
from headrace.dbt.invocation import Invocation, run_dbt

project = Path(sys.argv[1])
done = run_dbt(Invocation("build", project, project / "profiles.yml", project / "target"))
sys.stdout.flush()
os._exit(0 if done else 1)
"""


def test_it_leaves_nothing_for_python_to_complain_of_in_the_task_s_log(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "dbt_project.yml").write_text("name: shop\nversion: 1.0.0\nprofile: shop\n")
    (tmp_path / "models" / "one.sql").write_text("select 1 as x")
    output = {"type": "duckdb", "path": str(tmp_path / "shop.duckdb")}
    (tmp_path / "profiles.yml").write_text(json.dumps({"shop": {"target": "t", "outputs": {"t": output}}}))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "plugins")}
    # Python's resource tracker writes to the same standard error after the process has ended.
    run = subprocess.run([sys.executable, "-c", RUN, str(tmp_path)], env=environment, capture_output=True, text=True)
    assert (run.returncode, "1 of 1 OK" in run.stdout) == (0, True), run.stdout + run.stderr
    assert "semaphore" not in run.stderr
