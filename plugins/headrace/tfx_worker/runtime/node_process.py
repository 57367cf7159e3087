"""What a process forked from the warm runtime does for one node; TFX interpreter.

The first fork supervises, as the process of ``python -m headrace.jobs.supervise`` does; its own fork is the node.
"""

import atexit
import contextlib
import logging
import multiprocessing.util
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import NoReturn

from headrace.contracts.runtime import StartRequest
from headrace.jobs.supervise import MARK, Limits, supervise
from headrace.tfx_worker.cli import main
from headrace.tfx_worker.runtime.mark import write_mark

TOO_LATE = 76


def supervise_node(request: StartRequest) -> int:
    """Supervise the node in a session and under a mark of its own; returns what :func:`supervise` does."""
    os.setsid()
    write_mark(request.attempt)
    if time.monotonic() > request.deadline:
        return TOO_LATE
    limits = Limits(request.lease_seconds, request.memory_bytes)
    return supervise(Path(request.folder), request.attempt, limits, lambda: _run(request))


def _run(request: StartRequest) -> NoReturn:
    """Be the process that was asked for, and end as a process does."""
    code = 1
    try:
        _become(request)
        code = main(request.argv)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:  # noqa: BLE001 - this process ends here, whatever happened
        traceback.print_exc()
    finally:
        # As an interpreter ends: after its threads and exit handlers; but its memory is not worth tidying up.
        for finish in (threading._shutdown, atexit._run_exitfuncs, sys.stdout.flush, sys.stderr.flush):
            with contextlib.suppress(BaseException):
                finish()
        os._exit(code)


def _become(request: StartRequest) -> None:
    """Take what a process has from the one that started it, and drop what is the runtime's own."""
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(signum, signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL)
    os.umask(request.umask)
    os.chdir(request.cwd)
    os.environ.clear()
    os.environ.update({**request.environment, MARK: request.attempt})
    time.tzset()
    tempfile.tempdir = None
    sys.argv = ["headrace.tfx_worker", *request.argv]
    sys.path[0] = request.cwd  # as of any "python -m"
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    # What the runtime would do at its end is not this process's to do; what every process does is.
    atexit._clear()
    atexit.register(logging.shutdown)
    atexit.register(multiprocessing.util._exit_function)
