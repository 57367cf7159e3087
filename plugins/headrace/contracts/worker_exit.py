"""What the exit codes of the TFX worker mean; either interpreter."""

from enum import IntEnum


class WorkerExit(IntEnum):
    """Exit codes of ``python -m headrace.tfx_worker``. Trying again can help only where it says so."""

    OK = 0
    """Done. A node's outcome says whether a model was blessed; a refusal is an outcome, not a failure."""
    INTERNAL_ERROR = 1
    """An error of Headrace itself: Python's own code for an unhandled exception."""
    USAGE = 2
    """The command line is wrong: argparse's own code."""
    BAD_REQUEST = 3
    """The job folder, its request or the compiled pipeline cannot be used; nothing was run."""
    STALE_COMPILE = 4
    """Sources changed since ``headrace compile``; nothing was run."""
    PIPELINE_ERROR = 5
    """The user's ``pipeline.py`` or ``headrace.json`` is wrong, so there is nothing to compile."""
    ENVIRONMENT_ERROR = 6
    """This interpreter cannot import TFX."""
    NODE_FAILED = 10
    """The node's own code raised; the outcome says what and where. Trying again can help."""
    INPUTS_UNRESOLVED = 11
    """The node did not run, for an input is missing: an upstream node has not succeeded in this run."""
    DATA_UNUSABLE = 12
    """``score``, ``predict``: the model or the data cannot be read or do not fit together."""
