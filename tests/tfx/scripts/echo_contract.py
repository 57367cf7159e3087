"""Reads an outcome and a request with this interpreter's contracts and writes them again; TFX interpreter."""
# ruff: noqa: T201 - what it prints is its answer

import json
import sys
from pathlib import Path

from headrace.contracts.node_run import NodeOutcome, NodeRequest

source, target = map(Path, sys.argv[1:])
NodeOutcome.load(source).write(target)
NodeRequest.load(source).write(target)
print(json.dumps(sys.version_info[:2]))
