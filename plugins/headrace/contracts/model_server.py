"""What a running model server says of itself, in a file; either interpreter."""

from dataclasses import asdict, dataclass
from pathlib import Path

from headrace.contracts.files import ContractError, read_json, write_json

SERVERS_FOLDER = "servers"
"""Under the serving folder; one file a server: ``<host>-<pid>.json``."""
STALE_SECONDS = 10.0
"""A server writes its file anew every few seconds; one older than this is of a server that was killed."""


@dataclass(frozen=True)
class ServerRecord:
    """One process that answers for models.

    Attributes:
        address: Where it answers: ``http://host:port``.
        pid: Its process.
        host: Its machine's name.
        started: When it began, ISO 8601.
        at: When it last wrote this, seconds since the epoch.
        models: The models that it serves; empty: every one that is deployed.
    """

    address: str
    pid: int
    host: str
    started: str
    at: float
    models: tuple[str, ...] = ()

    def find_file(self, serving_dir: Path) -> Path:
        return serving_dir / SERVERS_FOLDER / f"{self.host}-{self.pid}.json"

    def write(self, serving_dir: Path) -> None:
        write_json(self.find_file(serving_dir), asdict(self))

    @classmethod
    def load(cls, path: Path) -> "ServerRecord":
        """Load what a server said of itself.

        Raises:
            ContractError: The file is gone, or is none of this version.
        """
        document = read_json(path)
        document.pop("contract_version")
        try:
            return cls(**{**document, "models": tuple(document["models"])})
        except (KeyError, TypeError) as error:
            raise ContractError(f"{path} is not a server's record: {error!r}") from error
