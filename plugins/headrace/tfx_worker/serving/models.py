"""The models in memory: following deployments, swapping versions under requests; TFX interpreter."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from headrace.contracts.deployment import ALIASES, CHALLENGER, CHAMPION, DEPLOYMENT_FILE, Deployment
from headrace.contracts.files import ContractError
from headrace.registry.trees import verify_tree
from headrace.tfx_worker.serving.loaded_model import LoadedModel

RETRY_SECONDS = 5.0
_CHALLENGER_ENDING = f"_{CHALLENGER}"
Tell = Callable[[str, dict[str, Any]], None]


class NotServedError(Exception):
    """There is no such model or version here; the message is for whoever asked."""


@dataclass
class ServedModel:
    """One model: the deployment that is followed, its versions in memory, and what is wrong with those that are not."""

    name: str
    generation: int = 0
    aliases: dict[str, int] = field(default_factory=dict)
    loaded: dict[int, LoadedModel] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)
    tried: tuple[int, float] = (0, 0.0)  # generation, and when
    only_challenger: bool = False  # nothing of it is to answer by default


class Models:
    """All models of a serving folder.

    Args:
        folder: Holds a folder for each model.
        only: Names of the models to serve; empty: every one that is deployed.
        tell: Told of what happens: an event's name, and facts.
    """

    def __init__(self, folder: Path, only: tuple[str, ...], tell: Tell) -> None:
        self.folder, self.only, self._tell = folder, only, tell
        self.served: dict[str, ServedModel] = {name: ServedModel(name) for name in only}
        self.live = 0  # sessions that are open
        self._lock = Lock()
        self._seen: dict[str, tuple[int, int]] = {}

    def follow(self) -> None:
        """Load what has been deployed since, and let go of what is not any more; one thread calls this."""
        for name in self.only or self._list_deployed():
            file = self.folder / name / DEPLOYMENT_FILE
            try:
                found = file.stat()
                seen = (found.st_mtime_ns, found.st_ino)
                served = self.served.setdefault(name, ServedModel(name))
                waits = bool(served.errors) and time.monotonic() - served.tried[1] > RETRY_SECONDS
                if self._seen.get(name) == seen and not waits:
                    continue
                self._adopt(served, Deployment.load(self.folder / name))
                self._seen[name] = seen
            except FileNotFoundError:
                continue  # nothing of it is deployed
            except ContractError as error:
                self._seen[name] = seen
                self._tell("deployment_unreadable", {"model": name, "error": str(error)})

    @property
    def ready(self) -> bool:
        """Whether each model answers that is to; one that has a challenger only, so far, is not."""
        wanted = [name for name in self.only or self._list_deployed() if name in self.served]
        answers = [CHAMPION in self.served[name].aliases for name in wanted if not self.served[name].only_challenger]
        return bool(answers) and all(answers)

    @contextmanager
    def lease(self, name: str, number: int | None = None, label: str | None = None) -> Iterator[LoadedModel]:
        """Hold a version for the length of a request: it is closed after the last one that holds it.

        Raises:
            NotServedError: There is no such model, version or label here.
        """
        with self._lock:
            model = self._find(name, number, label)
            model.leases += 1
        try:
            yield model
        finally:
            with self._lock:
                model.leases -= 1
                is_last = model.retired and model.leases == 0
            if is_last:
                self._close(model)

    def describe(self, name: str, number: int | None = None, label: str | None = None) -> list[dict[str, Any]]:
        """Return ``model_version_status`` of TensorFlow Serving: of one version or label, else of all.

        Raises:
            NotServedError: There is no such model, version or label here.
        """
        with self._lock:
            served, forced = self._resolve(name)
            label = label or self._force(served, forced, number)
            if label is not None and label not in served.aliases:
                raise NotServedError(f"Model {name} has no version labelled {label}.")
            wanted = served.aliases[label] if label is not None else number
            known = {**dict.fromkeys(served.loaded), **served.errors}
            if wanted is not None and wanted not in known:
                raise NotServedError(f"Version {wanted} of model {name} is not served.")
            chosen = sorted(known, reverse=True) if wanted is None else [wanted]
            return [_describe(each, known[each] if each not in served.loaded else None) for each in chosen]

    def close(self) -> None:
        """Let go of everything."""
        with self._lock:
            models = [model for served in self.served.values() for model in served.loaded.values()]
            for served in self.served.values():
                served.loaded, served.aliases = {}, {}
        self._retire(models)

    def _adopt(self, served: ServedModel, deployment: Deployment) -> None:
        """Follow a deployment if its champion can be loaded; else go on with the one before."""
        if deployment.generation < served.generation:
            return
        served.tried = (deployment.generation, time.monotonic())
        served.only_challenger = CHALLENGER in deployment.aliases and CHAMPION not in deployment.aliases
        errors: dict[int, str] = {}
        loaded: dict[int, LoadedModel] = {}
        fresh: list[LoadedModel] = []
        in_order = [deployment.aliases[alias] for alias in ALIASES if alias in deployment.aliases]
        for number in dict.fromkeys(in_order):
            digest = deployment.versions[number]
            known = served.loaded.get(number)
            if known is not None and known.digest == digest:
                loaded[number] = known
                continue
            model, error = self._load(served.name, number, digest)
            if model is None:
                errors[number] = error
                self._tell("load_failed", {"model": served.name, "version": number, "error": error})
            else:
                loaded[number] = model
                fresh.append(model)
        champion = deployment.aliases.get(CHAMPION)
        if champion is not None and champion not in loaded:
            with self._lock:
                served.errors = errors
            self._retire(fresh)
            return
        aliases = {alias: number for alias, number in deployment.aliases.items() if number in loaded}
        with self._lock:
            old = [model for number, model in served.loaded.items() if loaded.get(number) is not model]
            served.generation, served.aliases, served.loaded, served.errors = (
                deployment.generation, aliases, loaded, errors
            )  # fmt: skip
        self._retire(old)
        self._tell("deployed", {"model": served.name, "generation": deployment.generation, "aliases": aliases})

    def _load(self, name: str, number: int, digest: str) -> tuple[LoadedModel | None, str]:
        folder = self.folder / name / str(number)
        if wrong := verify_tree(folder, digest):
            return None, f"its files are not whole: {wrong[0]}"
        try:
            model = LoadedModel(folder, number, digest)
        except Exception as error:  # noqa: BLE001 - whatever TensorFlow raises of a file that it cannot read
            return None, f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
        try:
            model.warm_up()
        except Exception as error:  # noqa: BLE001 - whatever its graph does; it would do it to a request too
            model.close()
            return None, f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
        with self._lock:
            self.live += 1
        return model, ""

    def _retire(self, models: list[LoadedModel]) -> None:
        with self._lock:
            for model in models:
                model.retired = True
            free = [model for model in models if model.leases == 0]
        for model in free:
            self._close(model)

    def _close(self, model: LoadedModel) -> None:
        model.close()
        with self._lock:
            self.live -= 1

    def _find(self, name: str, number: int | None, label: str | None) -> LoadedModel:
        served, forced = self._resolve(name)
        label = label or self._force(served, forced, number) or (CHAMPION if number is None else None)
        if label is not None:
            if label not in served.aliases:
                raise NotServedError(f"Model {name} has no version labelled {label}.")
            number = served.aliases[label]
        if number not in served.loaded:
            raise NotServedError(f"Version {number} of model {name} is not served.")
        return served.loaded[number]

    def _force(self, served: ServedModel, forced: str | None, number: int | None) -> str | None:
        """Return the label that a name stands for; under it no other version answers.

        Raises:
            NotServedError: Another version was asked for.
        """
        if forced is not None and number not in (None, served.aliases.get(forced)):
            raise NotServedError(f"Version {number} of {served.name} is not its {forced}.")
        return forced

    def _resolve(self, name: str) -> tuple[ServedModel, str | None]:
        """Return a model; under TensorFlow Serving the challenger has a name of its own, which is known here too."""
        if name in self.served:
            return self.served[name], None
        base = name.removesuffix(_CHALLENGER_ENDING)
        if base != name and base in self.served:
            return self.served[base], CHALLENGER
        raise NotServedError(f"There is no model {name[:200]!r} here.")

    def _list_deployed(self) -> tuple[str, ...]:
        return tuple(sorted(file.parent.name for file in self.folder.glob(f"*/{DEPLOYMENT_FILE}")))


def _describe(number: int, error: str | None) -> dict[str, Any]:
    status = {"error_code": "OK", "error_message": ""}
    if error is not None:
        status = {"error_code": "INTERNAL", "error_message": error}
    return {"version": str(number), "state": "AVAILABLE" if error is None else "END", "status": status}
