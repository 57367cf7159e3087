"""Settings that must stand before TensorFlow is imported, and the imports themselves; TFX interpreter."""

import contextlib
import importlib
import importlib.util
import os
import pkgutil
import sys
import types
import warnings
from pathlib import Path

from headrace.contracts.worker_exit import WorkerExit
from headrace.tfx_worker.deferred_imports import defer_imports
from headrace.tfx_worker.errors import WorkerStop

_DEFAULTS = {
    "TF_USE_LEGACY_KERAS": "1",  # TFX saves and loads Keras 2 models
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
    "GRPC_VERBOSITY": "ERROR",
}
# What only Kubernetes, Google Cloud and notebooks need.
_DEFERRED_MODULES = (
    "tfx.components.infra_validator.model_server_runners.kubernetes_runner",
    "googleapiclient.discovery",
    "tqdm.notebook",
    "tensorflow_model_analysis.notebook.visualization",
)
# Everything that every node needs, in the order in which it takes the least time.
_HEAVY_MODULES = ("tensorflow", "apache_beam", "tfx.orchestration.portable.launcher", "tfx.components")
# What the standard components import only when they run; a version that has it elsewhere takes longer, no more.
_LATE_MODULES = (
    "tfx.v1",
    "tfx.extensions",
    "tfx.orchestration.local.runner_utils",
    "tfx.orchestration.portable.runtime_parameter_utils",
    "tfx.dsl.component.experimental.decorators",
    "tfx.components.example_gen.custom_executors.parquet_executor",
    "apache_beam.runners.portability.portable_runner",
    "apache_beam.testing.test_stream",
    "apache_beam.typehints.intrinsic_one_ops",
    "pyarrow.csv",
    "pyarrow.dataset",
    "pyarrow.pandas_compat",
    "tf_keras.src.engine.base_layer_v1",
    "tensorflow.python.data.ops.cache_op",
    "tensorflow.python.data.ops.flat_map_op",
    "tensorflow.python.data.ops.take_op",
)


def prepare_environment() -> None:
    """Set defaults that the user's own environment overrides, and quieten other people's warnings."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    for category in (FutureWarning, DeprecationWarning, UserWarning):
        warnings.simplefilter("ignore", category)


def import_tfx() -> None:
    """Import TFX, so that a broken environment is one clear message.

    Raises:
        WorkerStop: TFX cannot be imported.
    """
    try:
        defer_imports(_DEFERRED_MODULES)
        offer_tfx_facade()
        from absl import logging
        from tfx.orchestration.portable import launcher  # noqa: F401
    except ImportError as error:
        raise WorkerStop(
            f"{sys.executable} cannot import TFX ({error}): run 'make setup', or point tfx_python to an interpreter "
            f"with the packages of requirements/tfx.txt.",
            WorkerExit.ENVIRONMENT_ERROR,
        ) from error
    # TFX and Beam say every step at INFO; the worker says what a person needs.
    logging.set_verbosity(logging.ERROR)


def offer_tfx_facade() -> None:
    """Let ``from tfx import v1 as tfx`` work without google-cloud-aiplatform.

    That package (600 MB) is what ``tfx.v1.extensions`` imports; where it is not installed, an empty module takes its
    place. Where it is installed, nothing is touched.
    """
    name = "tfx.v1.extensions"
    if name in sys.modules:
        return
    try:
        installed = importlib.util.find_spec("google.cloud.aiplatform") is not None
    except ModuleNotFoundError:
        installed = False
    if not installed:
        sys.modules[name] = types.ModuleType(name, "Empty: google-cloud-aiplatform is not installed.")


def import_everything() -> None:
    """Import all that any node needs and run nothing: what a warm parent does before it forks nodes."""
    import_tfx()
    for name in _HEAVY_MODULES:
        importlib.import_module(name)
    for name in _LATE_MODULES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for module in pkgutil.iter_modules([str(Path(__file__).parent)], "headrace.tfx_worker."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
