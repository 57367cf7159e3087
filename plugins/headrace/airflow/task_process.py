"""The process of a task, which Airflow's supervisor forks; orchestration interpreter."""

import ctypes
import os
import signal
import socket
import sys
from contextlib import suppress

PR_SET_PDEATHSIG = 1  # of prctl(2)


def end_with_supervisor() -> None:
    """Have this process killed as soon as the one that supervises it dies, where there is one.

    Airflow gives a task a process group of its own, so that what kills a worker leaves its task running: without a log,
    beside its retry, whose table it holds or whose result it takes.
    """
    from airflow.sdk.execution_time import comms, task_runner

    supervisor = getattr(task_runner, "SUPERVISOR_COMMS", None)
    if sys.platform != "linux" or not isinstance(supervisor, comms.CommsDecoder):
        return
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL)) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    with suppress(BlockingIOError):  # it is there, and says nothing
        if not supervisor.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
            os.kill(os.getpid(), signal.SIGKILL)  # it died before


def runs_in_dag_test() -> bool:
    """Return whether ``dag.test()``, or ``airflow dags test``, runs this task: in its own process, all alone."""
    from airflow.sdk.execution_time import supervisor, task_runner

    comms = getattr(task_runner, "SUPERVISOR_COMMS", None)
    return isinstance(comms, supervisor.InProcessSupervisorComms)
