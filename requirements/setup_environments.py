"""Set up the project's two interpreters from their locks; any Python 3.11 or later, standard library only.

Usage: python requirements/setup_environments.py [--dev] [--without-tfx] [--lock]

It puts everything inside the clone: uv in ``.tools/`` if the machine has none, Airflow's interpreter in ``.venv/``,
the TFX interpreter in ``.venv-tfx/``. An environment whose lock has not changed since is left alone.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / "requirements"
UV_VERSION = "0.13.9"
OLDEST_UV = (0, 9)
STAMP = ".headrace-lock"

THIS_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
AIRFLOW_PYTHONS = tuple(sorted(("3.12", "3.11", "3.13"), key=lambda version: version != THIS_PYTHON))
TFX_PYTHONS = ("3.10",)


class SetupError(Exception):
    """Something the set-up needs is missing; the message says how to get it."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dev", action="store_true", help="add what tests and linters need")
    parser.add_argument("--without-tfx", action="store_true", help="leave out the TFX interpreter (2.2 GB)")
    parser.add_argument("--lock", metavar="UPGRADE", nargs="?", const="", help="write the locks anew instead")
    options = parser.parse_args()
    try:
        uv = find_uv() or install_uv()
        if options.lock is not None:
            return subprocess.call([REQUIREMENTS / "lock.sh", uv, *filter(None, [options.lock])])
        lock = REQUIREMENTS / ("dev.txt" if options.dev else "airflow.txt")
        set_up(uv, ROOT / ".venv", lock, AIRFLOW_PYTHONS, "Airflow", project=True)
        if not options.without_tfx:
            set_up(uv, ROOT / ".venv-tfx", REQUIREMENTS / "tfx.txt", TFX_PYTHONS, "TFX", project=False)
    except SetupError as error:
        print(f"\nsetup: {error}", file=sys.stderr)
        return 1
    return 0


def set_up(uv: str, venv: Path, lock: Path, versions: tuple[str, ...], name: str, project: bool) -> None:
    """Make one environment what its lock says; do nothing where it already is."""
    stamp = venv / STAMP
    wanted = fingerprint(lock, project)
    done = stamp.read_text().split() if stamp.is_file() else []
    if wanted in done and (venv / "bin" / "python").exists():
        return
    started = time.monotonic()
    environment = {**os.environ, "VIRTUAL_ENV": str(venv), "UV_COMPILE_BYTECODE": "1", "UV_LINK_MODE": "copy"}
    environment.setdefault("UV_HTTP_TIMEOUT", "180")
    # Certificates as the machine has them: behind a company's proxy uv's own list is not enough.
    environment.setdefault("UV_SYSTEM_CERTS", "1")
    if not (venv / "bin" / "python").exists():
        python = find_python(versions) or install_python(uv, versions[0], name)
        print(f"setup: {name} interpreter: {python}", flush=True)
        run([uv, "venv", "--quiet", "--clear", "--python", python, str(venv)], environment, f"create {venv.name}")
    print(f"setup: installing {lock.name} into {venv.name}/ (a few minutes the first time)", flush=True)
    stamp.unlink(missing_ok=True)
    run([uv, "pip", "sync", "--quiet", "--require-hashes", str(lock)], environment, f"install {lock.name}")
    if project:
        editable = [uv, "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", str(ROOT)]
        run(editable, environment, "install headrace")
    # A development environment also serves whoever asks for the plain one.
    also = [fingerprint(REQUIREMENTS / "airflow.txt", project)] if lock.name == "dev.txt" else []
    stamp.write_text("\n".join([wanted, *also]))
    print(f"setup: {venv.name}/ ready after {time.monotonic() - started:.0f} s", flush=True)


def fingerprint(lock: Path, project: bool) -> str:
    digest = hashlib.sha256(lock.read_bytes())
    if project:
        digest.update((ROOT / "pyproject.toml").read_bytes())
    return f"{lock.name}:{digest.hexdigest()}"


def run(command: list[str], environment: dict[str, str], what: str) -> None:
    if subprocess.run(command, env=environment, check=False).returncode != 0:
        raise SetupError(f"could not {what}; the lines above say why. Run the same command again to go on.")


def find_uv() -> str | None:
    """Return a uv that is new enough: the clone's own, or the machine's."""
    for candidate in (ROOT / ".tools" / "bin" / "uv", shutil.which("uv")):
        if not candidate:
            continue
        try:
            shown = subprocess.run([candidate, "--version"], capture_output=True, text=True, timeout=30, check=True)
        except (OSError, subprocess.SubprocessError):
            continue
        version = re.match(r"uv (\d+)\.(\d+)", shown.stdout)
        if version and (int(version[1]), int(version[2])) >= OLDEST_UV:
            return str(candidate)
    return None


def install_uv() -> str:
    """Install uv into the clone with pip."""
    print(f"setup: installing uv {UV_VERSION} into .tools/", flush=True)
    tools = ROOT / ".tools"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]
    installed = subprocess.run([*pip, "--target", str(tools), "--upgrade", f"uv=={UV_VERSION}"], check=False).returncode
    uv = tools / "bin" / "uv"
    if installed != 0 or not uv.exists():
        raise SetupError(
            f"could not install uv with {sys.executable} -m pip. Install pip for it (on Debian: apt-get install "
            f"python3-pip), or put uv {OLDEST_UV[0]}.{OLDEST_UV[1]} or later on PATH, and run this again."
        )
    return str(uv)


def find_python(versions: tuple[str, ...]) -> str | None:
    """Return a real interpreter of one of these versions: this one, on PATH, or in pyenv's folder.

    pyenv's shims on PATH fail for versions that are not active, so each candidate is asked for its version.
    """
    for version in versions:
        for candidate in candidates(version):
            if interpreter_version(candidate) == version:
                return candidate
    return None


def candidates(version: str) -> Iterator[str]:
    yield sys.executable
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        for name in (f"python{version}", "python3"):
            path = Path(folder) / name
            if folder and path.is_file():
                yield str(path)
    roots = (os.environ.get("PYENV_ROOT"), Path.home() / ".pyenv")
    for root in roots:
        if root:
            yield from map(str, sorted(Path(root).glob(f"versions/{version}*/bin/python{version}"), reverse=True))


def interpreter_version(python: str) -> str | None:
    """Return ``3.10`` and the like; None where it does not run or cannot make environments for itself."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        shown = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return shown.stdout.strip()


def install_python(uv: str, version: str, name: str) -> str:
    """Let uv download an interpreter into the clone.

    Raises:
        SetupError: It could not; the message says what else to do.
    """
    print(f"setup: no Python {version} on PATH or under pyenv's versions; asking uv to download one", flush=True)
    folder = ROOT / ".tools" / "python"
    environment = {**os.environ, "UV_PYTHON_INSTALL_DIR": str(folder), "UV_HTTP_TIMEOUT": "60"}
    done = subprocess.run([uv, "python", "install", "--quiet", version], env=environment, check=False)
    found = sorted(folder.glob(f"*/bin/python{version}"))
    if done.returncode != 0 or not found:
        raise SetupError(
            f"the {name} interpreter needs Python {version}, and none was found: not on PATH, not under "
            f"$PYENV_ROOT/versions or ~/.pyenv/versions, and uv could not download it. Install it with your system's "
            f"packages or with 'pyenv install {version}', and run this again."
        )
    return str(found[-1])


if __name__ == "__main__":
    sys.exit(main())
