"""How the worker stops, and how it names the user's own line; standard library only; TFX interpreter."""

import re
import traceback
from pathlib import Path

from headrace.contracts.worker_exit import WorkerExit

# In the text of errors that TensorFlow re-raises from a traced function, which has no frame of the user's any more.
_QUOTED_FRAME = re.compile(r'File "([^"]+)", line (\d+), in (\S+)')


class WorkerStop(Exception):  # noqa: N818 - a decision to end with this code, not a kind of error
    """Ends the worker with a message for a person and an exit code for a machine."""

    def __init__(self, message: str, exit_code: WorkerExit) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def describe_failure(error: BaseException, pipelines_dir: Path) -> str:
    """Describe an exception in one sentence that names the user's innermost line, where there is one.

    Args:
        error: What was raised.
        pipelines_dir: Folder of the user's pipelines; frames under it are the user's.
    """
    first_line = next(iter(str(error).strip().splitlines()), "") or "no message"
    what = f"{type(error).__name__}: {first_line}"
    where = find_user_frame(error, pipelines_dir)
    return f"{what} (at {where})" if where else what


def find_user_frame(error: BaseException, pipelines_dir: Path) -> str | None:
    """Return ``file:line in function`` of the user's innermost frame, the file relative to ``pipelines_dir``."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        frames = [(frame.filename, frame.lineno or 0, frame.name) for frame in traceback.extract_tb(link.__traceback__)]
        frames += [(name, int(line), function) for name, line, function in _QUOTED_FRAME.findall(str(link))]
        if isinstance(link, SyntaxError) and link.filename:
            frames.append((link.filename, link.lineno or 0, "<module>"))
        for filename, line, function in reversed(frames):
            path = Path(filename)
            if path.is_absolute() and pipelines_dir in path.resolve().parents:
                return f"{path.resolve().relative_to(pipelines_dir)}:{line} in {function}"
        link = link.__cause__ or link.__context__
    return None
