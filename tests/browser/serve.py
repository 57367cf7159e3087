"""Serves a seeded inbox until it is told to stop, to look at it: ``python tests/browser/serve.py /tmp/folder``."""

import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2] / "plugins")]

from airflow_server import AirflowHome, AirflowServer  # noqa: E402 - what it needs is found only now
from seed import seed_ledger  # noqa: E402

if __name__ == "__main__":
    home = AirflowHome(Path(sys.argv[1]).absolute())
    if not home.folder.exists():
        home.prepare()
        seed_ledger(home.ledger_path)
    server = AirflowServer(home, *sys.argv[2:])
    server.start()
    sys.stdout.write(f"{server.inbox}/incidents: log in as admin/admin or viewer/viewer\n")
    sys.stdout.flush()
    try:
        while True:
            time.sleep(3600)
    finally:
        server.stop()
