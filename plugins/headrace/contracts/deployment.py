"""Which versions of a model answer: the one file that servers read; either interpreter.

The ledger says what is true, and this file says it to servers. It is written whole, under a lock, with a generation
that only rises, so that a reader sees one decision or the next and never half of one.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from headrace.contracts.files import ContractError, read_json, write_json

DEPLOYMENT_FILE = "deployment.json"
MANIFEST_FILE = "manifest.json"
CHAMPION, PREVIOUS, CHALLENGER = "champion", "previous", "challenger"
ALIASES = (CHAMPION, PREVIOUS, CHALLENGER)


@dataclass(frozen=True)
class Deployment:
    """What is to answer for one model.

    Attributes:
        model: Name; its versions lie beside the file, each in a folder named by its number.
        generation: Rises with each decision; a server ignores a lower one than it has seen.
        versions: Number of each version to be loaded, to the digest of its files (:class:`Manifest`).
        aliases: ``champion``, ``previous`` and ``challenger``, those there are, to a number of ``versions``.
        blocked: Numbers that must answer no more.
        at: When it was decided, ISO 8601.
    """

    model: str
    generation: int
    versions: Mapping[int, str] = field(default_factory=dict)
    aliases: Mapping[str, int] = field(default_factory=dict)
    blocked: tuple[int, ...] = ()
    at: str = ""

    def write(self, folder: Path) -> None:
        document = asdict(self)
        document["versions"] = {str(number): digest for number, digest in self.versions.items()}
        write_json(folder / DEPLOYMENT_FILE, document)

    @classmethod
    def load(cls, folder: Path) -> "Deployment":
        """Load what is to answer for the model whose folder this is.

        Raises:
            ContractError: There is no such file, or it is none of this version.
        """
        document = read_json(folder / DEPLOYMENT_FILE)
        document.pop("contract_version")
        try:
            versions = {int(number): str(digest) for number, digest in document.pop("versions").items()}
            aliases = {str(alias): int(number) for alias, number in document.pop("aliases").items()}
            blocked = tuple(int(number) for number in document.pop("blocked"))
            made = cls(**document, versions=versions, aliases=aliases, blocked=blocked)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ContractError(f"{folder / DEPLOYMENT_FILE} is not a deployment: {error!r}") from error
        if unknown := {number for number in made.aliases.values() if number not in made.versions}:
            raise ContractError(f"{folder / DEPLOYMENT_FILE} names versions that it does not list: {sorted(unknown)}")
        return made


@dataclass(frozen=True)
class Manifest:
    """The files of one model version, by which a half copy is told from a whole one.

    Attributes:
        files: Path relative to the version's folder, ``/`` between names, to ``{"sha256": …, "size": bytes}``.
        digest: SHA-256 of all of them, in order of their paths.
    """

    files: Mapping[str, Mapping[str, str | int]]
    digest: str

    def write(self, folder: Path) -> None:
        write_json(folder / MANIFEST_FILE, asdict(self))

    @classmethod
    def load(cls, folder: Path) -> "Manifest":
        """Load the manifest of a version's folder.

        Raises:
            ContractError: There is none, or it is none of this version.
        """
        document = read_json(folder / MANIFEST_FILE)
        document.pop("contract_version")
        try:
            return cls(**document)
        except TypeError as error:
            raise ContractError(f"{folder / MANIFEST_FILE} is not a manifest: {error}") from error
