"""Reads what crosses with this interpreter's contracts and writes it again; TFX interpreter."""
# ruff: noqa: T201 - what it prints is its answer

import json
import sys
from pathlib import Path

from headrace.contracts.node_run import NodeOutcome, NodeRequest
from headrace.contracts.statistics import load_statistics, write_statistics

source, target = map(Path, sys.argv[1:])
NodeOutcome.load(source).write(target)
NodeRequest.load(source).write(target)
write_statistics(target, load_statistics(source))
print(json.dumps(sys.version_info[:2]))
