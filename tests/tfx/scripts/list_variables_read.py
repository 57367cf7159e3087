"""Imports what a warm runtime imports, and prints which variables of the environment were read; TFX interpreter."""
# ruff: noqa: T201 - what it prints is its answer

import json
import os
import sys

from headrace.tfx_worker.environment import import_everything

read = {}
variables = type(os.environ)
look_up = variables.__getitem__


def note(self, name):
    frame = sys._getframe(1)
    while frame.f_code.co_filename in (os.__file__, __file__) or "_collections_abc" in frame.f_code.co_filename:
        if frame.f_code.co_name == "__iter__":
            return look_up(self, name)  # who goes through all of them has asked for none
        frame = frame.f_back
    read.setdefault(os.fsdecode(name), f"{frame.f_code.co_filename}:{frame.f_lineno}")
    return look_up(self, name)


variables.__getitem__ = note
import_everything()
print(json.dumps(read))
