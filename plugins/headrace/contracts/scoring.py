"""Scoring a whole partition: what the worker is asked, and what it answers; either interpreter."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from headrace.contracts.files import ContractError, read_json, write_json

SCORE_REQUEST_FILE = "score_request.json"
SCORE_OUTCOME_FILE = "score_outcome.json"
PREDICTIONS_FILE = "predictions.parquet"
ADDED_COLUMNS = ("partition_key", "model", "model_version", "model_digest", "scored_at")
"""What each row of the predictions' table has besides the keys and the model's outputs."""


@dataclass(frozen=True)
class ScoreRequest:
    """What is scored, and by what.

    Attributes:
        model: Name of the model.
        number: Of the version.
        digest: Of the version's files.
        model_dir: Folder of the SavedModel.
        data: The Parquet file.
        key_columns: Columns of the file that tell which row is which; they are kept beside the answers.
        signature: Name of the signature; None: that of raw columns, else the default one.
    """

    model: str
    number: int
    digest: str
    model_dir: str
    data: str
    key_columns: tuple[str, ...]
    signature: str | None = None

    def write(self, folder: Path) -> None:
        write_json(folder / SCORE_REQUEST_FILE, asdict(self))

    @classmethod
    def load(cls, folder: Path) -> "ScoreRequest":
        """Load what a job was asked.

        Raises:
            ContractError: It was asked nothing, or by another version.
        """
        document = read_json(folder / SCORE_REQUEST_FILE)
        document.pop("contract_version")
        try:
            return cls(**{**document, "key_columns": tuple(document["key_columns"])})
        except (KeyError, TypeError) as error:
            raise ContractError(f"{folder / SCORE_REQUEST_FILE} is no request to score: {error}") from error


@dataclass(frozen=True)
class ScoreOutcome:
    """What came of it; written last, when ``predictions.parquet`` beside it is whole.

    Attributes:
        rows: How many.
        sha256: Of the file that was read.
        signature: The signature that was asked.
        outputs: Name of each output to its type in Parquet.
        seconds: Of reading, asking and writing; loading the model not counted.
    """

    rows: int
    sha256: str
    signature: str
    outputs: Mapping[str, str]
    seconds: float

    def write(self, folder: Path) -> None:
        write_json(folder / SCORE_OUTCOME_FILE, asdict(self))

    @classmethod
    def load(cls, folder: Path) -> "ScoreOutcome":
        """Load what came of a job.

        Raises:
            ContractError: It has not ended, or is of another version.
        """
        document = read_json(folder / SCORE_OUTCOME_FILE)
        document.pop("contract_version")
        try:
            return cls(**document)
        except TypeError as error:
            raise ContractError(f"{folder / SCORE_OUTCOME_FILE} is no outcome of scoring: {error}") from error
