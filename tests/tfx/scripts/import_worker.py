"""Imports every module of the worker and prints what came with it; TFX interpreter."""
# ruff: noqa: T201 - what it prints is its answer

import importlib
import json
import pkgutil
import sys

import headrace.tfx_worker

for module in pkgutil.iter_modules(headrace.tfx_worker.__path__):
    if module.name != "__main__":
        importlib.import_module(f"headrace.tfx_worker.{module.name}")
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
