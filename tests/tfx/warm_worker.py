"""Runs worker commands and scripts in children forked from one process that has imported TFX; TFX interpreter.

The tests would pay 15 s of imports for each of some forty processes. Reads one JSON request a line from standard input
(``argv`` of the worker, or ``script`` and its ``argv``, and ``log``) and answers with two: the child's pid, and how it
ended. The parent runs no TensorFlow operation, so forking it is safe.
"""
# ruff: noqa: T201 - what it prints is its answer

import json
import os
import runpy
import sys
import traceback

from headrace.tfx_worker.cli import main
from headrace.tfx_worker.environment import import_everything, prepare_environment


def run_child(request: dict) -> int:
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if "script" not in request:
        return main(request["argv"])
    sys.argv = [request["script"], *request["argv"]]
    runpy.run_path(request["script"], run_name="__main__")
    return 0


def serve() -> None:
    prepare_environment()
    import_everything()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            code = 1
            try:
                code = run_child(json.loads(line))
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else 1
            except BaseException:  # noqa: BLE001 - a child ends here, whatever happened
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        print(json.dumps({"pid": pid}), flush=True)
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)


if __name__ == "__main__":
    serve()
