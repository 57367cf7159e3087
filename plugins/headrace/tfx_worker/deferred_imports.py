"""Modules that are imported when something of them is first used; standard library only, TFX interpreter.

TFX and Beam import, for ends that a local run never has, whole client libraries. A module that is deferred is there at
once, under its own name and empty; its own code runs when an attribute of it is asked for. Nothing of anybody's code is
replaced: should a later version know no such module, nothing is deferred and the import takes longer, no more.

Unlike :class:`importlib.util.LazyLoader` of Python 3.10, it lets two threads ask at once, and is not woken by who only
looks through ``sys.modules``, as :mod:`inspect` does for TensorFlow's autograph.
"""

import importlib.abc
import importlib.machinery
import sys
import threading
import types
from collections.abc import Collection, Sequence
from typing import Any

_LOADER = "_headrace_loader"
_lock = threading.RLock()


class _DeferredModule(types.ModuleType):
    """Runs its code when it is asked for what it does not have; is an ordinary module from then on."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        with _lock:
            loader = self.__dict__.pop(_LOADER, None)
            if loader is not None:
                try:
                    loader.exec_module(self)
                except BaseException:
                    self.__dict__[_LOADER] = loader
                    raise
                self.__class__ = types.ModuleType
        return types.ModuleType.__getattribute__(self, name)


class _DeferringLoader(importlib.abc.Loader):
    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _DeferredModule(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        module.__dict__[_LOADER] = self._loader
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader


class _DeferringFinder(importlib.abc.MetaPathFinder):
    def __init__(self, names: Collection[str]) -> None:
        self.names = frozenset(names)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in self.names:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _DeferringLoader(spec.loader)
        return spec


def defer_imports(names: Collection[str]) -> None:
    """Let these modules be imported when they are first used; those that are imported already stay as they are."""
    for finder in sys.meta_path:
        if isinstance(finder, _DeferringFinder):
            finder.names |= frozenset(names)
            return
    sys.meta_path.insert(0, _DeferringFinder(names))
