"""Job folders: one command at a time, followed, reconnected to, ended as a whole."""

import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import pytest
from small_disk import mount_small_disk

from headrace.contracts.files import read_json
from headrace.jobs.environment import build_worker_environment
from headrace.jobs.job import Job, JobExit, kill_all_jobs
from headrace.jobs.processes import find_marked, process_start_time


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return build_worker_environment(tmp_path / "state")


def start(job: Job, environment: dict[str, str], code: str) -> None:
    job.start([sys.executable, "-c", code], environment)


def follow(job: Job) -> tuple[JobExit, list[str]]:
    lines: list[str] = []
    return job.follow(lines.append), lines


def alive(pid: int) -> bool:
    return process_start_time(pid) is not None


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def wait_for(condition, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_log_and_exit_code_come_through(tmp_path: Path, environment: dict[str, str]) -> None:
    job = Job(tmp_path / "job")
    start(job, environment, "import sys; print('one'); print('two', file=sys.stderr, end=''); sys.exit(3)")
    end, lines = follow(job)
    assert (end.code, sorted(lines)) == (3, ["one", "two"])
    assert end.describe() == "ended with exit code 3"


def test_lines_arrive_while_the_command_runs(tmp_path: Path, environment: dict[str, str]) -> None:
    job = Job(tmp_path / "job")
    start(job, environment, "import time; print('now', flush=True); time.sleep(60)")
    lines: list[str] = []
    follower = threading.Thread(target=job.follow, args=(lines.append,))
    follower.start()
    wait_for(lambda: lines == ["now"])
    assert job.is_running()
    job.kill()
    follower.join(10)
    assert not follower.is_alive()


def test_a_segmentation_fault_is_told_as_such(tmp_path: Path, environment: dict[str, str]) -> None:
    job = Job(tmp_path / "job")
    start(job, environment, "import os; os.kill(os.getpid(), 11)")
    end, _ = follow(job)
    assert end.code == -signal.SIGSEGV
    assert "segmentation fault" in end.describe()


def test_a_second_attempt_never_runs_beside_the_first(tmp_path: Path, environment: dict[str, str]) -> None:
    job = Job(tmp_path / "job")
    mark = tmp_path / "started"
    code = f"import time; open({str(mark)!r}, 'a').write('x'); time.sleep(60)"
    start(job, environment, code)
    wait_for(mark.exists)
    first = job.attempt
    start(Job(tmp_path / "job"), environment, code)
    assert (mark.read_text(), job.attempt) == ("x", first)
    job.kill()


def test_kill_reaches_grandchildren_that_left_the_session(tmp_path: Path, environment: dict[str, str]) -> None:
    job = Job(tmp_path / "job")
    pids = tmp_path / "pids"
    code = (
        "import os, subprocess, sys, time, signal\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "time.sleep(600)\n"
    )
    start(job, environment, code)
    wait_for(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    members = [int(pid) for pid in pids.read_text().split()]
    assert all(alive(pid) for pid in members)
    job.kill(grace_seconds=0.5)
    wait_for(lambda: not any(alive(pid) for pid in members))
    assert not job.is_running()


def test_a_killed_watcher_is_replaced_by_one_that_reads_the_folder(tmp_path: Path, environment: dict[str, str]) -> None:
    folder = tmp_path / "job"
    watcher = (
        "import sys, os; from pathlib import Path; from headrace.jobs.job import Job\n"
        f"job = Job(Path({str(folder)!r}))\n"
        "job.start([sys.executable, '-c', \"import time; print('a', flush=True); time.sleep(1.5); print('b')\"],"
        " dict(os.environ))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", watcher], env=environment, check=False)
    job = Job(folder)
    assert job.is_running()
    end, lines = follow(job)
    assert (end.code, lines) == (0, ["a", "b"])
    assert job.is_waiting_to_be_collected()
    job.mark_collected()
    assert not job.is_waiting_to_be_collected()


def test_a_failed_command_is_not_waiting_to_be_collected(tmp_path: Path, environment: dict[str, str]) -> None:
    job = Job(tmp_path / "job")
    start(job, environment, "raise SystemExit(1)")
    follow(job)
    assert not job.is_waiting_to_be_collected()


def test_a_command_whose_supervisor_was_killed_keeps_the_folder_and_can_be_ended(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    job = Job(tmp_path / "job")
    mark = tmp_path / "started"
    code = f"import os, time; open({str(mark)!r}, 'a').write(f'{{os.getpid()}} '); time.sleep(600)"
    start(job, environment, code)
    wait_for(lambda: mark.exists() and bool(mark.read_text()))
    os.kill(read_json(job.folder / "process.json")["pid"], signal.SIGKILL)
    command = int(mark.read_text())
    assert alive(command)
    assert job.is_running(), "the command holds the lock too"
    start(job, environment, code)
    assert len(mark.read_text().split()) == 1, "a second command was started beside it"
    job.kill(grace_seconds=0.2)
    wait_for(lambda: not alive(command))
    end, _ = follow(job)
    assert end.code is None
    assert "without leaving an exit code" in end.describe()


def test_what_a_dead_attempt_left_is_ended_before_the_next_begins(tmp_path: Path, environment: dict[str, str]) -> None:
    """A child that closed every descriptor holds no lock, and is found by its mark."""
    job = Job(tmp_path / "job")
    pid_file = tmp_path / "pid"
    stray = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    code = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {stray!r}]); time.sleep(600)"
    start(job, environment, code)
    wait_for(lambda: pid_file.exists() and bool(pid_file.read_text()))
    process = read_json(job.folder / "process.json")["pid"]
    (command,) = [pid for pid in find_marked("HEADRACE_JOB", str(job.attempt)) if parent(pid) == process]
    for pid in (process, command):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not job.is_running())
    left = int(pid_file.read_text())
    assert alive(left)
    start(job, environment, "pass")
    assert follow(job)[0].code == 0
    assert not alive(left)


def test_a_job_that_nobody_watches_is_ended(tmp_path: Path, environment: dict[str, str]) -> None:
    job = Job(tmp_path / "job", lease_seconds=1)
    start(job, environment, "import time; time.sleep(600)")
    wait_for(lambda: not job.is_running(), seconds=15)
    end, lines = follow(job)
    assert end.expired
    assert "ended because no task watched it" in end.describe()
    assert any("no task has watched this job" in line for line in lines)


def test_a_command_that_does_not_exist_says_so(tmp_path: Path, environment: dict[str, str]) -> None:
    job = Job(tmp_path / "job")
    job.start([str(tmp_path / "nothing")], environment)
    end, lines = follow(job)
    assert end.code == 127
    assert "could not start" in lines[0]


def test_kill_all_jobs_ends_every_running_one(tmp_path: Path, environment: dict[str, str]) -> None:
    jobs = [Job(tmp_path / "runs" / "dag" / "run" / task) for task in ("a", "b")]
    for job in jobs:
        start(job, environment, "import time; time.sleep(600)")
    assert kill_all_jobs(tmp_path / "runs", grace_seconds=0.2) == 2
    assert not any(job.is_running() for job in jobs)


def test_the_other_interpreter_gets_this_package_alone_and_no_airflow_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://u:hunter2@h/db")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    environment = build_worker_environment(tmp_path)
    assert "hunter2" not in " ".join(environment.values())
    assert os.listdir(environment["PYTHONPATH"]) == ["headrace"]


def test_a_very_long_log_is_followed_in_little_memory_and_shown_in_part(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    job = Job(tmp_path / "job")
    start(job, environment, "for n in range(10_000): print('x' * 9_999)\nprint('the end')")
    tracemalloc.start()
    count, last = 0, ""

    def take(line: str) -> None:
        nonlocal count, last
        count, last = count + 1, line

    end = job.follow(take)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert end.code == 0
    assert (job.folder / "log").stat().st_size > 90_000_000
    assert last == "the end"
    assert 400 < count < 500
    assert most < 10_000_000


def test_a_line_that_never_ends_is_handed_on_in_pieces(tmp_path: Path, environment: dict[str, str]) -> None:
    job = Job(tmp_path / "job")
    start(job, environment, "print('x' * 3_000_000)")
    end, lines = follow(job)
    assert end.code == 0
    assert sum(map(len, lines)) == 3_000_000
    assert max(map(len, lines)) < 2_500_000


def test_a_full_disk_is_named(tmp_path: Path, environment: dict[str, str]) -> None:
    with mount_small_disk(tmp_path / "disk", megabytes=4) as disk:
        job = Job(disk / "job")
        start(job, environment, "while True: print('x' * 1000, flush=True)")
        end, _ = follow(job)
        assert not job.is_running()
        assert end.code != 0
        assert end.describe().endswith(f"; the disk of {job.folder} is full")
        start(job, environment, "raise SystemExit(3)")
        assert follow(job)[0].describe() == "ended with exit code 3", "the next attempt's log begins anew"


def test_a_command_that_takes_too_much_memory_is_ended_with_what_it_started(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    job = Job(tmp_path / "job")
    pid = tmp_path / "pid"
    child = (
        f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid()));"
        "x = bytearray(b'x') * 300_000_000; time.sleep(600)"
    )
    code = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(600)"
    job.start([sys.executable, "-c", code], environment, memory_bytes=200_000_000)
    end, _ = follow(job)
    assert "of memory, and may use 0.2 GB" in end.describe()
    wait_for(lambda: not alive(int(pid.read_text())))
