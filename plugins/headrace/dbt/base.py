"""The dbt project as it was at a commit, which a change is compared with; orchestration interpreter."""

import io
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from headrace.exceptions import ConfigurationError, UnknownRevisionError

MAIN_BRANCHES = ("origin/HEAD", "origin/main", "origin/master", "main", "master")


@dataclass(frozen=True)
class Base:
    """A commit that a change is compared with.

    Attributes:
        name: As it was asked for, or where it was found, for people.
        commit: Its full hash.
        root: Top of the git checkout.
    """

    name: str
    commit: str
    root: Path


def find_base(folder: Path, ref: str | None = None) -> Base:
    """Find what to compare a working tree with.

    Args:
        folder: Anywhere in the checkout.
        ref: A branch, tag or commit. None: where this branch left the main one; on the main branch itself, the last
            commit.

    Raises:
        ConfigurationError: The folder is in no git checkout, or nothing was ever committed.
        UnknownRevisionError: There is no such revision.
    """
    top = _run_git(folder, "rev-parse", "--show-toplevel")
    if top is None:
        raise ConfigurationError(f"{folder} is in no git checkout, so nothing says what has changed: git init, commit.")
    root = Path(top)
    if ref is not None:
        commit = _run_git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        if commit is None:
            raise UnknownRevisionError(
                f"git knows no revision {ref!r} in {root}: fetch it, or name another; a clone of depth 1 lacks most."
            )
        return Base(ref, commit, root)
    head = _run_git(root, "rev-parse", "--verify", "--quiet", "HEAD")
    if head is None:
        raise ConfigurationError(f"Nothing was committed in {root} yet, so nothing says what has changed.")
    for branch in MAIN_BRANCHES:
        if (fork := _run_git(root, "merge-base", branch, "HEAD")) is not None:
            return Base("HEAD" if fork == head else f"where it left {branch}", fork, root)
    return Base("HEAD", head, root)


def export_folder(base: Base, folder: Path, target: Path) -> bool:
    """Write a folder as it was at the base into an empty one; nothing of the checkout is touched.

    Returns:
        Whether there was such a folder then.
    """
    inside = folder.resolve().relative_to(base.root.resolve()).as_posix()
    if _run_git(base.root, "cat-file", "-e", f"{base.commit}:{inside}") is None:
        return False
    tree = base.commit if inside == "." else f"{base.commit}:{inside}"
    done = subprocess.run(["git", "archive", "--format=tar", tree], cwd=base.root, capture_output=True, check=False)
    if done.returncode:
        raise ConfigurationError(f"git cannot read {inside} at {base.name}: {done.stderr.decode(errors='replace')}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(target, filter="data")
    packages = folder / "dbt_packages"
    if packages.is_dir() and not (target / "dbt_packages").exists():
        (target / "dbt_packages").symlink_to(packages.resolve())  # installed, so in no commit
    return True


def list_changed_files(base: Base, folder: Path) -> list[Path]:
    """Return the files of a folder that differ from the base, those that git does not know yet included."""
    if not folder.resolve().is_relative_to(base.root.resolve()):
        return []
    inside = str(folder.resolve())
    changed = _run_git(base.root, "diff", "--name-only", "-z", base.commit, "--", inside) or ""
    new = _run_git(base.root, "ls-files", "--others", "--exclude-standard", "-z", "--", inside) or ""
    return sorted({base.root / name for name in (changed + new).split("\0") if name})


def _run_git(folder: Path, *arguments: str) -> str | None:
    """Return what git says; None where it refuses."""
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise ConfigurationError("git is not on PATH: a change is found by what git knows.") from None
    return done.stdout.rstrip("\n") if done.returncode == 0 else None
