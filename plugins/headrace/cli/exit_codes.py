"""What the command line's exit codes mean."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of ``headrace``."""

    OK = 0
    FAILED = 1  # a run, a check or a model did not make it
    USAGE = 2  # the command line is wrong (Typer's own code), or names no possible partition
    NOT_SET_UP = 3  # something is missing: ``headrace doctor`` says what
    INTERRUPTED = 130  # Ctrl-C
