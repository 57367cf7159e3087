"""Making a registered version again from what is recorded of it, beside the project; orchestration interpreter.

Nothing is written but a scratch folder: its own ML Metadata, no ledger, and no Pusher is run at all, so that a pipeline
that pushes elsewhere pushes nothing. Whoever ends this ends what it started.
"""

import hashlib
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.contracts.contents import SUFFIX, digest_file
from headrace.contracts.files import ContractError, read_json
from headrace.contracts.pipeline import IR_FILE, SOURCES_FILE, CompiledPipeline
from headrace.exceptions import ConfigurationError, RegistryError, ReproductionError
from headrace.jobs.compile import compile_pipeline
from headrace.ledger.database import Ledger
from headrace.ledger.query_models import load_version
from headrace.ledger.views_models import DELETED, ModelVersionRow
from headrace.registry.compare_metrics import MetricPair, compare_metrics
from headrace.registry.contents import find_kept
from headrace.registry.register import PARAMETERS, VERSION_FILE, find_version_folder
from headrace.registry.reproduce_nodes import NodeSeconds, find_model, list_read, run_nodes
from headrace.registry.sources import MISSING, digest_lock, unpack_sources
from headrace.registry.trees import as_registry_error, digest_tree, link_file
from headrace.settings import Settings

TOLERANCE = 0.005
PARTITION_PARAMETER = "partition_key"


@dataclass(frozen=True)
class Reproduction:
    """A version beside the model that was made again.

    Attributes:
        version: ``<model>@<number>``.
        ok: Whether every metric is within the tolerance; where the version has no metrics, whether the files are.
        tolerance: Largest absolute difference.
        metrics: Every metric of either.
        digest: Of the version's files.
        reproduced_digest: Of the new model's; None where no Trainer made one. TensorFlow does not write the same bytes
            twice, so another digest says little.
        same_ir: Whether the pipeline compiled to the same; None where the version does not say.
        same_lock: Whether the TFX interpreter's lock is the recorded one.
        parameters: Of the pipeline, that were given.
        partitions: That it was trained on.
        nodes: What was run.
        folder: Where all of it lies; None where it was removed.
        seconds: Wall time of all.
    """

    version: str
    ok: bool
    tolerance: float
    metrics: Sequence[MetricPair]
    digest: str
    reproduced_digest: str | None
    same_ir: bool | None
    same_lock: bool
    parameters: Mapping[str, Any]
    partitions: Sequence[str]
    nodes: Sequence[NodeSeconds]
    folder: Path | None
    seconds: float


def reproduce(
    ledger: Ledger,
    settings: Settings,
    model: str,
    number: int,
    *,
    tolerance: float = TOLERANCE,
    keep: bool = False,
    any_environment: bool = False,
    say: Callable[[str], None] = print,
) -> Reproduction:
    """Make a version again, and compare its metrics with the recorded ones.

    Args:
        ledger: The ledger; only read.
        settings: Of the main project; only read.
        model: Name.
        number: Of the version.
        tolerance: Largest absolute difference of a metric.
        keep: Keep the scratch folder.
        any_environment: Go on where the TFX interpreter's lock is another one.
        say: Takes a line of progress for a person.

    Raises:
        UnknownModelError: There is no such model.
        UnknownVersionError: There is no such version.
        ConfigurationError: It cannot be run here: another lock, no TFX interpreter, or not in a folder of its own.
        ReproductionError: A source or a content is not kept, or a node failed.
        RegistryError: The scratch folder could not be written.
    """
    began = time.monotonic()
    version = load_version(ledger, model, number)
    if version.state == DELETED:
        raise ReproductionError(f"{version.name} was deleted, with its sources: {version.state_why}.")
    same_lock = _check_environment(settings, version, any_environment, say)
    digests = _list_contents(version)
    with _make_scratch(keep, say) as folder:
        scratch = _Scratch(folder)
        scratch.place_contents(settings.features_dir, digests, version.name)
        scratch.place_sources(find_version_folder(settings, model, number), version)
        say(f"{len(digests)} {'partition' if len(digests) == 1 else 'partitions'}: {', '.join(sorted(digests))}")
        say(f"compiling {model} as {version.name} was")
        compile_pipeline(settings.tfx_python, scratch.pipelines, model, scratch.compiled, scratch.state)
        same_ir = scratch.compare_ir(settings, version)
        if same_ir is False:
            say("it compiles to another pipeline than was recorded: something besides its sources differs")
        compiled = CompiledPipeline.load(scratch.compiled)
        parameters = _choose_parameters(find_version_folder(settings, model, number), version, compiled, say)
        outcomes, nodes = run_nodes(
            settings.tfx_python, model, scratch.pipelines, scratch.compiled, scratch.state, parameters, say
        )
        if (read := list_read(outcomes)) != digests:
            other = sorted(key for key in {*read, *digests} if read.get(key) != digests.get(key))
            raise ReproductionError(
                f"{version.name} could not be reproduced: it was trained on {', '.join(sorted(digests))}, and this run "
                f"on {', '.join(sorted(read)) or 'nothing that its ExampleGen names'} (not the same: "
                f"{', '.join(other)}). Which partitions a run reads follows from its runtime parameters."
            )
        measured = next((outcome.metrics for outcome in outcomes if outcome.metrics), None) or {}
        made = find_model(outcomes)
        made_digest = None if made is None else digest_tree(made).digest
        pairs = compare_metrics(version.metrics, measured, tolerance)
        return Reproduction(
            version=version.name,
            ok=all(pair.within for pair in pairs) if pairs else made_digest == version.digest,
            tolerance=tolerance,
            metrics=pairs,
            digest=version.digest,
            reproduced_digest=made_digest,
            same_ir=same_ir,
            same_lock=same_lock,
            parameters=parameters,
            partitions=sorted(digests),
            nodes=nodes,
            folder=folder if keep else None,
            seconds=round(time.monotonic() - began, 1),
        )


def _check_environment(
    settings: Settings, version: ModelVersionRow, any_environment: bool, say: Callable[[str], None]
) -> bool:
    """Return whether the TFX interpreter's lock is that of the version; refuse another unless it may be any."""
    if not settings.tfx_python.exists():
        raise ConfigurationError(f"There is no TFX interpreter at {settings.tfx_python}: run 'make setup'.")
    lock = digest_lock(settings.project_dir)
    if lock == version.lock:
        return True
    then, now = (digest[:12] if digest else "none" for digest in (version.lock, lock))
    where = f" Its commit is {version.commit[:12]}." if version.commit else ""
    said = f"{version.name} was trained by another TFX environment: its lock was {then}, requirements/tfx.txt is {now}"
    if not any_environment:
        raise ConfigurationError(f"{said}.{where} Set that one up, or say --any-environment to try with this one.")
    say(said)
    return False


def _list_contents(version: ModelVersionRow) -> dict[str, str]:
    """Return, by partition, the digest of what the version was trained on."""
    keys = {str(each["partition_key"]) for each in version.verdicts}
    found = {str(each["partition_key"]): str(each["fingerprint"]) for each in version.verdicts if each["fingerprint"]}
    if not keys:
        raise ReproductionError(
            f"{version.name} cannot be reproduced: its pipeline's ExampleGen does not say what it read. One of your "
            "own says so by the custom properties partitions and partition_digests of its Examples."
        )
    if unknown := sorted(keys - found.keys()):
        raise ReproductionError(
            f"{version.name} cannot be reproduced: it was trained on {', '.join(unknown)}, and which content that "
            "was is not recorded."
        )
    return found


def _choose_parameters(
    kept: Path, version: ModelVersionRow, compiled: CompiledPipeline, say: Callable[[str], None]
) -> Mapping[str, Any]:
    """Return the runtime parameters of the version's run, of older versions the partition alone."""
    parameters = read_json(kept / VERSION_FILE).get(PARAMETERS)
    if parameters is not None:
        return dict(parameters)
    say("its runtime parameters were not recorded: its partition and the defaults are taken")
    return {PARTITION_PARAMETER: version.partition_key} if PARTITION_PARAMETER in compiled.parameters else {}


@contextmanager
def _make_scratch(keep: bool, say: Callable[[str], None]) -> Iterator[Path]:
    with as_registry_error("make a scratch folder"):
        folder = Path(tempfile.mkdtemp(prefix="headrace-reproduce-")).resolve()
    try:
        yield folder
    except ContractError as error:
        raise ReproductionError(f"It could not be reproduced: {error}") from error
    finally:
        if keep:
            say(f"kept in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


class _Scratch:
    """A state folder and sources of their own."""

    def __init__(self, folder: Path) -> None:
        self.pipelines = folder / "tfx_pipelines"
        self.state = folder / "state"
        self.compiled = self.state / "compiled"

    def place_contents(self, features_dir: Path, digests: Mapping[str, str], name: str) -> None:
        """Put the kept contents where the pipeline looks for its partitions."""
        lost = []
        for key, sha256 in sorted(digests.items()):
            kept = [file for file in find_kept(features_dir, sha256) if digest_file(file) == sha256]
            if not kept:
                lost.append(f"{key} (SHA-256 {sha256})")
            for file in kept:
                target = self.state / "features" / file.parents[1].name / f"{key}{SUFFIX}"
                with as_registry_error(f"place {key} in {target.parent}"):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    link_file(file, target)
        if lost:
            raise ReproductionError(
                f"{name} cannot be reproduced: what it was trained on is not kept in {features_dir}/*/.versions/ (any "
                f"more, or as it was), of partition {', '.join(lost)}."
            )

    def place_sources(self, kept: Path, version: ModelVersionRow) -> None:
        """Unpack the pipeline as it was."""
        packed = kept / SOURCES_FILE
        if not packed.is_file():
            raise ReproductionError(f"{version.name} cannot be reproduced: its sources, {packed}, are not kept.")
        code = {name: digest for name, digest in version.code.items() if digest != MISSING}
        try:
            lost = unpack_sources(packed, self.pipelines, code)
        except tarfile.TarError as error:
            raise ReproductionError(f"{version.name} cannot be reproduced: {packed} is damaged: {error}.") from error
        except OSError as error:
            raise RegistryError(f"Could not unpack {packed}: {error}.") from error
        if lost:
            raise ReproductionError(
                f"{version.name} cannot be reproduced: {', '.join(lost)} changed between the node that ran it and the "
                f"push, and is not kept in {packed}."
            )

    def compare_ir(self, settings: Settings, version: ModelVersionRow) -> bool | None:
        """Return whether it compiled to what the version was made by; refuse what would run outside of this folder.

        The paths of folders are in the IR: ours are read as the project's.
        """
        text = (self.compiled / IR_FILE).read_text()
        moved = text.replace(str(self.pipelines), "").replace(str(self.state), "")
        store = f'filename_uri: "{self.state}'
        if str(settings.state_dir.resolve()) in moved or store not in text:
            raise ConfigurationError(
                f"{version.name} is not reproduced here: its headrace.json or pipeline.py names folders or an ML "
                "Metadata of the project's own, which a second run would write into. Let them follow {state_dir}, or "
                "the arguments that Headrace gives."
            )
        if version.ir is None:
            return None
        text = text.replace(str(self.pipelines), str(settings.tfx_pipelines_dir.resolve()))
        text = text.replace(str(self.state), str(settings.state_dir.resolve()))
        return hashlib.sha256(text.encode()).hexdigest() == version.ir
