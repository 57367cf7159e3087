"""Imports what the runtime imports, and prints what would make a fork of it unsafe or slow; TFX interpreter."""
# ruff: noqa: T201, E402 - what it prints is its answer; what it imports last is what it looks at

import json
import sys
import threading

from headrace.tfx_worker.environment import import_everything, prepare_environment

prepare_environment()
import_everything()

from tensorflow.python.eager import context

seen = {
    "threads": [thread.name for thread in threading.enumerate()],
    "has_run_an_operation": context.context_safe() is not None,
    "cuda": any("libcuda" in line for line in open("/proc/self/maps", encoding="utf-8")),  # noqa: PTH123, SIM115
    "kubernetes": "kubernetes" in sys.modules,
    "pipeline_code": "tensorflow_model_analysis" in sys.modules and "tensorflow_transform" in sys.modules,
}
from tfx.components.infra_validator.model_server_runners import kubernetes_runner

seen["kubernetes_when_asked"] = kubernetes_runner.KubernetesRunner.__name__
print(json.dumps({**seen, "kubernetes_then": "kubernetes" in sys.modules}))
