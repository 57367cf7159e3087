"""Which variables a warm runtime reads before a node can set them: each must decide which runtime a node gets."""

import json
import subprocess

from conftest import HERE, TFX_PYTHON, build_environment

from headrace.jobs.runtime import INHERITED
from headrace.jobs.runtime_place import FIXED_AT_IMPORT

WORKER = ("PYTHON", "_PYTHON")  # of the interpreter; a task's are kept from a fresh worker, too
TERMINALS = (
    "COLUMNS",
    "LINES",
    "EDITOR",
    "TERM",
    "IPYTHON",
    "IPY_",
    "JUPYTER_",
    "TRAITLETS_",
    "PYZMQ_",
    "TORNADO_",
    "WCWIDTH_",
)
TESTS = ("TEST_", "DISTUTILS_", "SETUPTOOLS_", "SPHINX_", "PYPARSING", "PSUTIL_")
TEMPORARY_FOLDERS = ("TEMP", "TMP")  # a node looks anew
OTHERS = (
    "ANDROID_DATA",
    "PY_SAX_PARSER",
    "WORKER_ID",  # what a Beam worker that another machine started calls itself
    "XDG_CACHE_HOME",  # of IPython's completion
)


def test_each_that_counts_is_the_runtimes_own() -> None:
    script = HERE / "scripts" / "list_variables_read.py"
    done = subprocess.run(
        [str(TFX_PYTHON), str(script)], env=build_environment(), capture_output=True, text=True, check=True
    )
    read = json.loads(done.stdout.splitlines()[-1])
    assert {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "KERAS_HOME", "TF_USE_LEGACY_KERAS"} <= read.keys()
    known = (*FIXED_AT_IMPORT, *INHERITED, *WORKER, *TERMINALS, *TESTS, *TEMPORARY_FOLDERS, *OTHERS)
    assert {name: where for name, where in read.items() if not name.startswith(known)} == {}
