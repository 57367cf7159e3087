"""The process of a task, which Airflow's supervisor forks; orchestration interpreter."""

import ctypes
import os
import signal
import socket
import sys

PR_SET_PDEATHSIG = 1  # of prctl(2)


def end_with_supervisor() -> None:
    """Have this process killed as soon as the one that supervises it dies, where there is one.

    Airflow gives a task a process group of its own, so that what kills a worker leaves its task running: without a log,
    beside its retry, whose table it holds or whose result it takes. On Linux only; under ``run_as_user`` sudo may stand
    between the two. A supervisor that fails without dying (its log's disk is full) ends nothing by this.
    """
    from airflow.sdk.execution_time import comms, task_runner

    supervisor = getattr(task_runner, "SUPERVISOR_COMMS", None)
    if sys.platform != "linux" or not isinstance(supervisor, comms.CommsDecoder):
        return
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL)) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if _has_hung_up(supervisor.socket):
        os.kill(os.getpid(), signal.SIGKILL)  # it died before


def _has_hung_up(connection: socket.socket) -> bool:
    """Return whether the other end is gone; takes nothing out of what is to be read."""
    try:
        return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:  # it is there, and says nothing
        return False
    except ConnectionResetError:  # it left something unread
        return True


def runs_in_dag_test() -> bool:
    """Return whether ``dag.test()``, or ``airflow dags test``, runs this task: in its own process, all alone."""
    from airflow.sdk.execution_time import supervisor, task_runner

    comms = getattr(task_runner, "SUPERVISOR_COMMS", None)
    return isinstance(comms, supervisor.InProcessSupervisorComms)
