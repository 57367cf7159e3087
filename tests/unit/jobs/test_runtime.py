"""The warm runtime: nodes in forks of it are jobs as any other, and without it they run all the same."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import pytest
from runtime_stand_in import NODE_BYTES, StandIn, alive, follow, read_numbers, wait_for
from small_disk import fill_disk, mount_small_disk

from headrace.contracts.files import read_json
from headrace.contracts.node_run import NodeRequest
from headrace.contracts.runtime import receive_message
from headrace.jobs import runtime, runtime_place
from headrace.jobs.job import Job, JobExit
from headrace.jobs.processes import find_marked
from headrace.jobs.runtime import BUSY_PAUSE_SECONDS
from headrace.jobs.runtime_place import RuntimeUnavailableError

SLEEP = "import time; time.sleep(600)"


def write_pids(file: Path) -> str:
    return f"import os, time; open({str(file)!r}, 'a').write(f'{{os.getpid()}} '); time.sleep(600)"


def supervisor(job: Job) -> int:
    return int(read_json(job.folder / "process.json")["pid"])


def test_the_first_node_starts_it_and_all_run_in_forks_of_it(stand_in: StandIn) -> None:
    parents = "import os; print(WHERE, os.getppid(), os.getsid(0) == os.getppid())"
    seen = [stand_in.run(f"n{number}", parents) for number in range(3)]
    assert stand_in.times_started == 1
    assert [end.code for end, _ in seen] == [0, 0, 0]
    for number, (_, lines) in enumerate(seen):
        process = supervisor(Job(stand_in.folder / "runs" / "dag" / "run" / f"n{number}"))
        assert lines == [f"warm {process} True"], "its supervisor leads a session"
        assert stand_in.forked[number] == f"process {process}, forked from the TFX runtime"
    assert len(stand_in.said) == 1
    assert "starting the TFX runtime" in stand_in.said[0]


def test_a_node_has_what_a_process_of_its_own_would_have(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code = (
        "import os, sys, tempfile, time, atexit, signal\n"
        "print(os.environ.get('COLOUR'), os.getcwd(), sys.path[0], tempfile.gettempdir(), time.tzname[0])\n"
        "print(oct(os.umask(0)), sys.stdin.read() == '', signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)\n"
        "atexit.register(print, 'at its end')\n"
    )
    stand_in.run("before", "pass")
    for name, value in (("COLOUR", "blue"), ("TMPDIR", str(tmp_path)), ("TZ", "Asia/Tokyo")):
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    mask = os.umask(0o027)
    try:
        end, lines = stand_in.run("node", code)
    finally:
        os.umask(mask)
    assert end.code == 0
    assert lines == [f"blue {tmp_path} {tmp_path} {tmp_path} JST", "0o27 True True", "at its end"]
    assert stand_in.times_started == 1


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("raise SystemExit(7)", 7),
        ("raise SystemExit('no')", 1),
        ("raise KeyError('x')", 1),
        ("import os; os._exit(9)", 9),
        ("import os; os.kill(os.getpid(), 9)", -9),
        ("import ctypes; ctypes.string_at(0)", -11),
        ("import threading, time; threading.Thread(target=lambda: (time.sleep(.2), print('late'))).start()", 0),
    ],
)
def test_how_a_node_ends_comes_through(stand_in: StandIn, code: str, expected: int) -> None:
    end, lines = stand_in.run("node", code)
    assert end.code == expected
    assert ("late" in lines) == ("late" in code), "a process ends after its threads"


def test_what_runs_does_not_need_the_runtime_and_the_next_node_starts_another(
    stand_in: StandIn, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    code = f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(.02)\nprint('done')"
    job = stand_in.start("node", code)
    first = stand_in.pid
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: not alive(first))
    assert job.is_running()
    end, lines = stand_in.run("next", "print(WHERE)")
    assert (end.code, lines) == (0, ["warm"])
    assert stand_in.times_started == 2
    go.touch()
    end, lines = follow(Job(job.folder))
    assert (end.code, lines) == (0, ["done"])
    assert job.is_waiting_to_be_collected()


def test_a_node_killed_from_outside_is_said_to_be(stand_in: StandIn, tmp_path: Path) -> None:
    job = stand_in.start("node", write_pids(tmp_path / "pid"))
    (node,) = read_numbers(tmp_path / "pid", 1)
    os.kill(node, signal.SIGKILL)
    end, _ = follow(job)
    assert end.code == -9
    assert "often out of memory" in end.describe()


def test_a_node_whose_supervisor_was_killed_keeps_its_folder_and_can_be_ended(
    stand_in: StandIn, tmp_path: Path
) -> None:
    code = write_pids(tmp_path / "pid")
    job = stand_in.start("node", code)
    (node,) = read_numbers(tmp_path / "pid", 1)
    os.kill(supervisor(job), signal.SIGKILL)
    wait_for(lambda: not alive(supervisor(job)))
    assert alive(node)
    assert job.is_running(), "the node holds the lock too"
    stand_in.start("node", code)
    assert len((tmp_path / "pid").read_text().split()) == 1, "a second one was started beside it"
    job.kill(grace_seconds=0.2)
    wait_for(lambda: not alive(node))
    assert "without leaving an exit code" in follow(job)[0].describe()


def test_a_killed_watcher_is_replaced_by_one_that_reads_the_folder(stand_in: StandIn) -> None:
    folder = stand_in.folder / "runs" / "dag" / "run" / "node"
    code = "import time; print('a', flush=True); time.sleep(1); print('b')"
    watcher = (
        "import os\nfrom pathlib import Path\n"
        "from headrace.jobs.job import Job\nfrom headrace.jobs.limits import NodeLimits\n"
        "from headrace.jobs.runtime import start_worker\n"
        f"job = Job(Path({str(folder)!r}))\n"
        f"start_worker(job, Path({str(stand_in.python)!r}), [{code!r}], dict(os.environ), NodeLimits(), print)\n"
        "os.killpg(0, 9)\n"
    )
    subprocess.run([sys.executable, "-c", watcher], env=stand_in.environment, start_new_session=True, check=False)
    job = Job(folder)
    assert job.is_running(), "it and its runtime outlive the task's process group"
    assert stand_in.client.read_process() is not None
    assert follow(job) == (JobExit(code=0), ["a", "b"])
    assert job.is_waiting_to_be_collected()


def test_kill_reaches_what_was_forked_started_and_moved_away(stand_in: StandIn, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    code = f"""
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
def note():
    os.write(os.open({str(pids)!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT), b"%d " % os.getpid())
note()
if os.fork() == 0:
    note()
    time.sleep(600)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        note()
        time.sleep(600)
    os._exit(0)
child = "import os, time; os.write(1, b'%d ' % os.getpid()); time.sleep(600)"
file = os.open({str(pids)!r}, os.O_WRONLY | os.O_APPEND)
subprocess.Popen([sys.executable, "-c", child], start_new_session=True, stdout=file)
time.sleep(600)
"""
    job = stand_in.start("node", code)
    members = [*read_numbers(pids, 4), supervisor(job)]
    other = stand_in.start("other", write_pids(tmp_path / "other"))
    (bystander,) = read_numbers(tmp_path / "other", 1)
    assert sorted(find_marked("HEADRACE_JOB", str(job.attempt))) == sorted(members)
    job.kill(grace_seconds=0.3)
    wait_for(lambda: not any(alive(pid) for pid in members))
    assert not job.is_running()
    assert alive(bystander), "only its own"
    assert alive(stand_in.pid), "and never the runtime"
    other.kill(grace_seconds=0)


def test_one_that_ignores_the_end_of_its_lease_is_killed_with_all_it_started(stand_in: StandIn, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    child = f"import os, signal, time; signal.signal(15, signal.SIG_IGN); {write_pids(pids)}"
    code = (
        "import signal, subprocess, sys\nsignal.signal(15, signal.SIG_IGN)\n"
        f"subprocess.Popen([sys.executable, '-c', {child!r}], start_new_session=True)\n{write_pids(pids)}"
    )
    job = stand_in.start("node", code, lease_seconds=1)
    members = [*read_numbers(pids, 2), supervisor(job)]
    wait_for(lambda: not any(alive(pid) for pid in members))
    assert not job.is_running()
    end, lines = follow(job)
    assert (end.code, end.expired) == (-signal.SIGKILL, True)
    assert "no task has watched this job" in lines[-1]
    assert alive(stand_in.pid)


def test_a_second_attempt_never_runs_beside_the_first(stand_in: StandIn, tmp_path: Path) -> None:
    job = stand_in.start("node", write_pids(tmp_path / "pid"))
    read_numbers(tmp_path / "pid", 1)
    first = job.attempt
    again = stand_in.start("node", write_pids(tmp_path / "pid"))
    assert again.attempt == first
    assert len((tmp_path / "pid").read_text().split()) == 1
    assert stand_in.said == stand_in.said[:1], "nothing but that it was started"


def test_two_who_start_it_at_once_start_one(stand_in: StandIn) -> None:
    stand_in.install(import_seconds=0.5)
    seen: list[object] = []
    threads = [
        threading.Thread(target=lambda name=name: seen.append(stand_in.run(name, "print(WHERE)")[1]))
        for name in ("a", "b", "c")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert seen == [["warm"]] * 3
    status = stand_in.client.read_status()
    assert status is not None
    assert status.pid == stand_in.pid


def test_two_processes_that_ask_at_once_share_one(stand_in: StandIn) -> None:
    """As tasks of two Celery workers do."""
    stand_in.install(import_seconds=0.5)
    task = (
        "import os, sys\nfrom pathlib import Path\n"
        "from headrace.jobs.job import Job\nfrom headrace.jobs.limits import NodeLimits\n"
        "from headrace.jobs.runtime import start_worker\n"
        f"python, runs = Path({str(stand_in.python)!r}), Path({str(stand_in.folder / 'runs/dag/run')!r})\n"
        "for number in range(5):\n"
        "    job = Job(runs / f'{sys.argv[1]}{number}')\n"
        "    start_worker(job, python, ['print(WHERE)'], dict(os.environ), NodeLimits(), print)\n"
        "    job.follow(print)\n"
    )
    tasks = [
        subprocess.Popen(
            [sys.executable, "-c", task, name], env=stand_in.environment, stdout=subprocess.PIPE, text=True
        )
        for name in "ab"
    ]
    said = [process.communicate(timeout=60)[0].splitlines() for process in tasks]
    assert [lines.count("warm") for lines in said] == [5, 5]
    assert not any("fresh" in line for lines in said for line in lines)
    status = stand_in.client.read_status()
    assert status is not None
    assert status.pid == stand_in.pid


def test_one_that_hangs_is_not_waited_for(stand_in: StandIn) -> None:
    stand_in.run("first", "pass")
    pid = stand_in.pid
    os.kill(pid, signal.SIGSTOP)
    end, lines = stand_in.run("node", "print(WHERE)")
    assert (end.code, lines) == (0, ["fresh"])
    assert "a fresh process" in stand_in.said[-1]
    assert "did not answer within 5 s" in stand_in.said[-1]
    process = read_json(stand_in.folder / "runs/dag/run/node/process.json")
    os.kill(pid, signal.SIGCONT)
    assert stand_in.run("next", "print(WHERE)")[1] == ["warm"]
    assert read_json(stand_in.folder / "runs/dag/run/node/process.json") == process, "it did not run it once more"


def test_one_that_does_not_start_is_done_without(stand_in: StandIn) -> None:
    stand_in.python.write_text(
        stand_in.python.read_text().replace('where = "warm"', "raise ImportError('no tensorflow today')")
    )
    end, lines = stand_in.run("node", "print(WHERE)")
    assert (end.code, lines) == (0, ["fresh"])
    assert "did not start (exit code 1): ImportError: no tensorflow today" in stand_in.said[-1]


@pytest.mark.parametrize("what", ["lock", "log", "path"])
def test_files_that_cannot_be_made_are_done_without(stand_in: StandIn, what: str) -> None:
    place = stand_in.client.place
    place.folder.mkdir(mode=0o700)
    file = place.folder / f"{place.key}.{what}"
    file.touch() if what == "path" else file.mkdir()
    assert_node_is_fresh(stand_in, why=str(file))


def assert_node_is_fresh(stand_in: StandIn, why: str) -> None:
    end, lines = stand_in.run("node", "print(WHERE)")
    assert (end.code, lines) == (0, ["fresh"])
    assert "a fresh process" in stand_in.said[-1]
    assert why in stand_in.said[-1]


def test_a_full_disk_is_done_without(stand_in: StandIn) -> None:
    with mount_small_disk(stand_in.runtime_dir / "headrace", megabytes=1) as disk:
        disk.chmod(0o700)
        subprocess.run(["mount", "-o", "remount,nr_inodes=2", str(disk)], check=True)  # room for one file
        assert_node_is_fresh(stand_in, why="No space left on device")


def test_a_place_that_cannot_be_named_is_done_without(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/" + "x" * 300)
    assert_node_is_fresh(stand_in, why="File name too long")
    for ask in (stand_in.client.start_in_background, stand_in.client.read_process, stand_in.client.find_nodes):
        with pytest.raises(RuntimeUnavailableError, match="File name too long"):
            ask()


def test_code_that_is_being_installed_is_done_without(
    stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "package"
    shutil.copytree(runtime_place.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "tfx_worker" / "gone.py").symlink_to(tmp_path / "nowhere")  # listed, and not there any more
    monkeypatch.setattr(runtime_place, "PACKAGE", package)
    assert_node_is_fresh(stand_in, why="gone.py")


@pytest.mark.parametrize(
    "reply",
    [b"{}", b"[]", b"\xff", b"", b'{"reply": "started", "pid": null}', b'{"reply": "refused", "outdated": true}'],
)
def test_an_answer_that_makes_no_sense_is_done_without(stand_in: StandIn, reply: bytes) -> None:
    place = stand_in.client.place
    place.folder.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place.socket))
        listener.listen()
        threading.Thread(target=answer_always, args=(listener, reply), daemon=True).start()
        assert_node_is_fresh(stand_in, why="the TFX runtime cannot be used")
        for ask in (stand_in.client.stop, stand_in.client.read_status):
            with pytest.raises(RuntimeUnavailableError):
                ask()
        listener.shutdown(socket.SHUT_RDWR)


def answer_always(listener: socket.socket, reply: bytes) -> None:
    with contextlib.suppress(OSError):  # until it is shut down
        while True:
            connection, _ = listener.accept()
            with connection:
                receive_message(connection)
                connection.sendall(reply + b"\n" if reply else b"")


def test_one_whose_imports_hang_is_waited_for_by_the_first_node_only(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "START_SECONDS", 2)
    stand_in.install(import_seconds=600)
    assert_node_is_fresh(stand_in, why="it was not ready within 2 s")
    pid, said = stand_in.pid, len(stand_in.said)
    end, lines = stand_in.run("next", "print(WHERE)")
    assert (end.code, lines) == (0, ["fresh"])
    (line,) = stand_in.said[said:]
    assert f"process {pid} was started " in line
    assert "s ago and does not listen: 'headrace runtime stop' ends it" in line
    assert stand_in.times_started == 1


def test_one_whose_socket_was_taken_away_is_not_waited_for(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "START_SECONDS", 2)
    stand_in.run("first", "import time; time.sleep(2)")
    stand_in.client.place.socket.unlink()
    assert_node_is_fresh(stand_in, why=f"process {stand_in.pid} was started ")


def test_changed_packages_or_code_replace_it_and_what_runs_goes_on(stand_in: StandIn, tmp_path: Path) -> None:
    job = stand_in.start("node", write_pids(tmp_path / "pid"))
    (node,) = read_numbers(tmp_path / "pid", 1)
    first = stand_in.pid
    (stand_in.folder / "venv" / "pyvenv.cfg").write_text("version_info = 3.12\n")
    status = stand_in.client.read_status()
    assert status is not None
    assert not status.is_current
    assert stand_in.run("next", "print(WHERE)")[1] == ["warm"]
    assert "replacing the TFX runtime" in stand_in.said[1]
    assert stand_in.pid != first
    assert stand_in.times_started == 2
    assert job.is_running()
    assert alive(first), "it ends after its node"
    os.kill(node, signal.SIGTERM)
    assert follow(job)[0].code == -15
    wait_for(lambda: not alive(first))


@pytest.mark.parametrize("name", ["TF_NUM_INTRAOP_THREADS", "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "KERAS_HOME"])
def test_variables_that_count_before_imports_have_a_runtime_of_their_own(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    place = stand_in.client.place
    monkeypatch.setenv("COLOUR", "blue")
    assert stand_in.client.place == place
    monkeypatch.setenv(name, "1")
    assert stand_in.client.place != place
    parent = "import os; print(open(f'/proc/{os.getsid(0)}/environ').read().count(" + repr(f"{name}=1") + "))"
    assert stand_in.run("node", parent)[1] == ["1"], "the runtime has it before it imports"


def test_it_ends_itself_when_idle_and_leaves_nothing_to_mistake(stand_in: StandIn) -> None:
    stand_in.limit(idle_seconds=0.1)
    stand_in.run("node", "pass")
    client = stand_in.client
    wait_for(lambda: client.read_process() is None)
    assert client.read_status() is None
    assert not client.place.socket.exists()
    assert stand_in.run("next", "print(WHERE)")[1] == ["warm"]


def test_no_more_nodes_than_may_run_at_once(stand_in: StandIn) -> None:
    stand_in.limit(most_nodes=1)
    first = stand_in.start("first", SLEEP)
    timer = threading.Timer(3 * BUSY_PAUSE_SECONDS, lambda: first.kill(grace_seconds=0))
    timer.start()
    end, lines = stand_in.run("second", "print(WHERE)")
    assert (end.code, lines) == (0, ["warm"])
    assert not first.is_running()
    assert stand_in.said[1:] == ["waiting for the TFX runtime: 1 TFX nodes run at once, the most that may"]


def test_a_task_that_is_ended_while_it_waits_starts_nothing(stand_in: StandIn) -> None:
    stand_in.limit(most_nodes=1)
    stand_in.start("first", SLEEP)
    ends = time.monotonic() + 3 * BUSY_PAUSE_SECONDS
    second = stand_in.start("second", SLEEP, is_cancelled=lambda: time.monotonic() > ends)
    assert second.attempt is None


def test_stop_lets_go_on_what_runs(stand_in: StandIn) -> None:
    job = stand_in.start("node", SLEEP)
    pid = stand_in.pid
    assert stand_in.client.stop() == [job.folder]
    assert stand_in.client.read_status() is None
    assert stand_in.client.stop() is None
    assert job.is_running()
    job.kill(grace_seconds=0)
    wait_for(lambda: not alive(pid))


def test_a_node_that_takes_too_much_memory_is_ended(stand_in: StandIn) -> None:
    stand_in.limit(memory_bytes=200_000_000)
    end, lines = stand_in.run("node", "import time; x = bytearray(b'x') * 400_000_000; time.sleep(600)")
    assert end.code == -15
    assert end.describe().startswith("was ended because it used 0.")
    assert end.describe().endswith(" GB of memory, and may use 0.2 GB (tfx_node_memory_gb)")
    assert lines[-1].endswith("and may use 0.2 GB (tfx_node_memory_gb): ending it")


def test_a_gigabyte_of_log_takes_no_memory_and_is_said_to_be_shown_in_part(stand_in: StandIn) -> None:
    code = """
import os
def say_memory():
    status = open(f"/proc/{os.getppid()}/status").read()
    print("supervisor", status.partition("VmHWM:")[2].split()[0], flush=True)
say_memory()
block = (b"x" * 9_999 + b"\\n") * 100
for _ in range(1_000):
    written = os.write(1, block)
    assert written == len(block)
say_memory()
"""
    job = stand_in.start("node", code)
    shown, kept = 0, []

    def take(line: str) -> None:
        nonlocal shown
        shown += len(line)
        if not line.startswith("x"):
            kept.append(line)

    tracemalloc.start()
    end = job.follow(take)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    log = job.folder / "log"
    size = log.stat().st_size
    log.unlink()  # pytest keeps the folders of three runs
    assert end.code == 0
    assert size > 1_000_000_000
    before, cut, after = kept
    assert cut == f"… 4 MB; of the rest only the end is shown; all is in {log}"
    assert shown < 5_000_000
    assert most < 10_000_000, "of this process, which reads it"
    assert int(after.split()[1]) - int(before.split()[1]) < 4_000, "kB, of the one that supervises"


@pytest.mark.parametrize("what", ["a file", "its log"])
def test_a_node_that_fills_the_disk_is_told_as_such_and_leaves_nothing_half_written(
    stand_in: StandIn, tmp_path: Path, what: str
) -> None:
    with mount_small_disk(tmp_path / "disk", megabytes=8) as disk:
        end, lines = follow(stand_in.start("node", "print('first')", runs_dir=disk))
        assert (end.code, end.describe(), lines) == (0, "ended with exit code 0", ["first"])
        fill = f"from small_disk import fill_disk; fill_disk(Path({str(disk)!r}))"
        log = "while True: print('x' * 10_000, flush=True)"
        code = (
            f"import sys; from pathlib import Path\nsys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
            "from headrace.contracts.node_run import NodeOutcome\n"
            f"{fill if what == 'a file' else log}\n"
            f"NodeOutcome('node', 'COMPLETE').write(Path({str(disk)!r}, 'dag/run/node'))"
        )
        job = stand_in.start("node", code, runs_dir=disk)
        end, _ = follow(job)
        assert end.code != 0
        assert not job.is_running()
        assert end.describe().endswith(f"; the disk of {job.folder} is full")
        assert not job.is_waiting_to_be_collected()
        assert {file.name for file in job.folder.iterdir()} <= {"lock", "process.json", "lease", "log", "exit.json"}
        for file in job.folder.glob("*.json"):
            assert read_json(file)["attempt"] == job.attempt
        (disk / "filler").unlink(missing_ok=True)
        end, lines = follow(stand_in.start("node", "print('again')", runs_dir=disk))
        assert (end.code, lines) == (0, ["again"])


def test_a_disk_that_is_full_before_a_node_begins_is_named(stand_in: StandIn, tmp_path: Path) -> None:
    with mount_small_disk(tmp_path / "disk", megabytes=2) as disk:
        fill_disk(disk)
        with pytest.raises(RuntimeError, match=r"did not start: the disk of .*/node is full"):
            stand_in.start("node", "pass", runs_dir=disk)
        with pytest.raises(OSError, match=r"No space left on device: '.*/request.json'"):
            NodeRequest("p", "n", "c", "d", "r", {}).write(disk)
        assert not list(disk.rglob("*.partial"))


def take_memory_and_wait(mark: Path, go: Path) -> str:
    return (
        f"import os, time; x = bytearray(b'x') * {NODE_BYTES}; open({str(mark)!r}, 'w')\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(.02)"
    )


def test_heavy_nodes_run_at_once_where_memory_allows(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.install(machine_bytes=4 * NODE_BYTES)
    marks = [tmp_path / "a", tmp_path / "b"]
    jobs = [stand_in.start(f"n{n}", take_memory_and_wait(marks[n], marks[1 - n])) for n in range(2)]
    assert [follow(job)[0].code for job in jobs] == [0, 0], "each waited for the other"
    assert not any("waiting" in line for line in stand_in.said)


@pytest.mark.parametrize("has_begun", [True, False])
def test_a_heavy_node_waits_where_memory_does_not_allow(stand_in: StandIn, tmp_path: Path, has_begun: bool) -> None:
    """Also for what another has not taken yet: two that begin at once must not both find the same memory free."""
    stand_in.install(machine_bytes=2 * NODE_BYTES)
    mark, go = tmp_path / "mark", tmp_path / "go"
    first = stand_in.start("first", take_memory_and_wait(mark, go) if has_begun else SLEEP)
    if has_begun:
        wait_for(mark.exists)
    timer = threading.Timer(3 * BUSY_PAUSE_SECONDS, go.touch if has_begun else lambda: first.kill(grace_seconds=0))
    timer.start()
    end, lines = stand_in.run("second", "print(WHERE)")
    assert (end.code, lines) == (0, ["warm"])
    assert not first.is_running()
    assert len(stand_in.said) == 2
    assert stand_in.said[1].startswith("waiting for the TFX runtime: 0.")
    assert stand_in.said[1].endswith(" GB of memory are free, and a TFX node needs 0.1; 1 run")


def test_a_stale_socket_is_replaced(stand_in: StandIn) -> None:
    stand_in.run("first", "pass")
    place, pid = stand_in.client.place, stand_in.pid
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not alive(pid))
    assert place.socket.exists()
    assert stand_in.run("node", "print(WHERE)")[1] == ["warm"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
@pytest.mark.parametrize("what", ["folder", "socket"])
def test_what_belongs_to_another_user_is_not_used(stand_in: StandIn, what: str) -> None:
    place = stand_in.client.place
    place.folder.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(place.socket))
        other.listen()
        os.chown(getattr(place, what), 1000, 1000)
        end, lines = stand_in.run("node", "print(WHERE)")
        assert (end.code, lines) == (0, ["fresh"])
        assert "of this user's" in stand_in.said[-1]
        os.chown(place.folder, 0, 0)


AS_ANOTHER_USER = "import os, socket, sys; sys.stdout.reconfigure(line_buffering=True); os.chdir(sys.argv[1])\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_who_answers_must_be_of_this_user(stand_in: StandIn) -> None:
    """Whatever the files say: the kernel knows who listens."""
    place = stand_in.client.place
    place.folder.mkdir(mode=0o700)
    code = AS_ANOTHER_USER + (
        "listener = socket.socket(socket.AF_UNIX); listener.bind(sys.argv[2])\n"
        "os.setresuid(1000, 1000, 1000); listener.listen(); print('listens')\n"
        "while True:\n    connection, _ = listener.accept(); print('received', connection.recv(9))\n"
    )
    command = [sys.executable, "-c", code, str(place.folder), place.socket.name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "listens\n"
            assert_node_is_fresh(stand_in, why=f"a process of another user answers on {place.socket}")
            assert other.stdout.readline() == "received b''\n", "it was told nothing"
        finally:
            other.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_who_asks_must_be_of_this_user(stand_in: StandIn) -> None:
    stand_in.run("first", "pass")
    place, pid = stand_in.client.place, stand_in.pid
    place.folder.chmod(0o711)
    place.socket.chmod(0o666)  # else it would get no further than to the files
    code = AS_ANOTHER_USER + (
        "os.setresuid(1000, 1000, 1000); asks = socket.socket(socket.AF_UNIX); asks.connect(sys.argv[2])\n"
        'try:\n    asks.sendall(b\'{"request": "stop"}\\n\')\n'
        "    print('received', asks.recv(9))\nexcept ConnectionError: print('hung up')\n"
    )
    command = [sys.executable, "-c", code, str(place.folder), place.socket.name]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said in ("received b''\n", "hung up\n")
    assert place.log.read_text().strip().endswith("did not answer: a process of another user")
    place.folder.chmod(0o700)
    assert stand_in.client.read_process() == pid
    assert stand_in.run("node", "print(WHERE)")[1] == ["warm"]
    assert stand_in.pid == pid, "it was not stopped"


def test_a_folder_that_others_can_enter_is_not_used(stand_in: StandIn) -> None:
    stand_in.client.place.folder.mkdir(mode=0o755)
    assert stand_in.run("node", "print(WHERE)")[1] == ["fresh"]
    assert "is not a folder of this user's alone (mode 0700): remove it" in stand_in.said[-1]


def test_a_link_to_a_folder_is_not_used(stand_in: StandIn, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    stand_in.client.place.folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RuntimeUnavailableError, match="is not a folder of this user's alone"):
        stand_in.client.ensure_running()


def test_what_is_no_request_does_not_end_it(stand_in: StandIn) -> None:
    stand_in.run("first", "pass")
    for message in (
        b"",
        b"\n",
        b"{\n",
        b"[]\n",
        b'{"request": "dance"}\n',
        b'{"request": "start"}\n',
        b"x" * 4_000_000,
    ):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(stand_in.client.place.socket))
            try:
                connection.sendall(message)
            except BrokenPipeError:
                assert len(message) > 1 << 20, "it hung up on what was no long message"
    assert stand_in.run("node", "print(WHERE)")[1] == ["warm"]
    assert stand_in.times_started == 1
