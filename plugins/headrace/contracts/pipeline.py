"""A compiled TFX pipeline: the IR, and beside it the small JSON from which a DAG is built; either interpreter."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from headrace.contracts.files import ContractError, fingerprint_files, read_json, write_json

NODES_FILE = "nodes.json"
IR_FILE = "pipeline.pbtxt"
CHECKING_TYPES = frozenset({"ExampleAnomalies", "ModelBlessing", "InfraBlessing"})
EXAMPLES_TYPE = "Examples"
PUSHED_TYPE = "PushedModel"
BUILD_FILE = "build.json"
SOURCES_FILE = "sources.tar.gz"
FOLDERS = "pushed"
"""Where the folders lie that Headrace gives ``create_pipeline``; another word makes what was compiled stale."""


@dataclass(frozen=True)
class Node:
    """One node of a pipeline.

    Attributes:
        id: The TFX node id, for example ``Trainer``.
        type: The TFX node type, for example ``tfx.components.trainer.component.Trainer``.
        upstream: Ids of the nodes that must have succeeded before this one.
        outputs: Types of the artifacts that it makes, for example ``Examples``; none of a resolver.
    """

    id: str
    type: str
    upstream: tuple[str, ...]
    outputs: tuple[str, ...] = ()

    @property
    def is_check(self) -> bool:
        """Whether it judges data or a model, whoever wrote it."""
        return not CHECKING_TYPES.isdisjoint(self.outputs)

    @property
    def makes_examples(self) -> bool:
        return EXAMPLES_TYPE in self.outputs

    @property
    def is_pusher(self) -> bool:
        return PUSHED_TYPE in self.outputs


@dataclass(frozen=True)
class CompiledPipeline:
    """What ``headrace compile`` wrote for one pipeline.

    Attributes:
        name: The folder's name under ``tfx_pipelines/``.
        nodes: In a topological order.
        parameters: Names of the pipeline's runtime parameters, and their defaults (None: no default).
        sources: SHA-256 of each file that was read to compile it, by name relative to ``tfx_pipelines/``.
        metadata: What the pipeline says of itself: ``owner``, ``description``, ``runbook``, ``tier``, ``severity``, …
        folders: Headrace's own, as they were when it was compiled: their paths are in the IR.
    """

    name: str
    nodes: tuple[Node, ...]
    parameters: Mapping[str, Any]
    sources: Mapping[str, str]
    metadata: Mapping[str, Any]
    folders: str = FOLDERS

    def write(self, folder: Path) -> None:
        write_json(folder / NODES_FILE, {"pipeline": asdict(self)})

    @classmethod
    def load(cls, folder: Path) -> "CompiledPipeline":
        """Load what was compiled into ``folder``.

        Raises:
            ContractError: Nothing was compiled there, or by another version.
        """
        document = read_json(folder / NODES_FILE)["pipeline"]
        try:
            nodes = tuple(
                Node(node["id"], node["type"], tuple(node["upstream"]), tuple(node["outputs"]))
                for node in document["nodes"]
            )
            return cls(**{"folders": "", **document, "nodes": nodes})
        except (KeyError, TypeError) as error:
            raise ContractError(
                f"{folder / NODES_FILE} is not a compiled pipeline of this Headrace: {error!r}"
            ) from error

    def changed_sources(self, pipelines_dir: Path) -> list[str]:
        """Return the names of the files that differ from those that were compiled, and whether our folders do."""
        now = fingerprint_files(pipelines_dir, self.sources)
        moved = [] if self.folders == FOLDERS else ["the folder that models are pushed to"]
        return moved + [name for name, digest in self.sources.items() if now[name] != digest]


@dataclass(frozen=True)
class Build:
    """What a pipeline was compiled from, by which a model says where it comes from.

    Attributes:
        ir: SHA-256 of the compiled pipeline.
        commit: Git's, of the project; None outside git.
        dirty: Whether the project had changes that are not in the commit.
        lock: SHA-256 of the project's lock of the TFX interpreter; None where it has none.
        at: When, ISO 8601.
    """

    ir: str
    commit: str | None
    dirty: bool | None
    lock: str | None
    at: str

    def write(self, folder: Path) -> None:
        write_json(folder / BUILD_FILE, asdict(self))

    @classmethod
    def load(cls, folder: Path) -> "Build":
        """Load what a pipeline was compiled from.

        Raises:
            ContractError: It is not said, or by another version.
        """
        document = read_json(folder / BUILD_FILE)
        document.pop("contract_version")
        try:
            return cls(**document)
        except TypeError as error:
            raise ContractError(f"{folder / BUILD_FILE} does not say what was compiled: {error}") from error
