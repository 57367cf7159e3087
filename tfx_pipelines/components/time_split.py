"""Which split a row belongs to; TFX interpreter."""

import hashlib
from dataclasses import dataclass

import numpy as np

TRAIN = "train"
EVAL = "eval"


@dataclass(frozen=True)
class TimeSplit:
    """A split by calendar day that lets no label leak.

    The newest ``eval_days`` days are the evaluation split. The ``gap_days`` days before them are in neither, so that
    every label in the training split was known before the evaluation period began: with one day of gap, a flight of
    the last training day has landed when the first evaluated flight leaves.

    Attributes:
        last_day: Newest day of the window, in days since 1970.
        eval_days: Length of the evaluation period, in days, at least 1.
        gap_days: Days left out before it.
    """

    last_day: int
    eval_days: int
    gap_days: int

    def __post_init__(self) -> None:
        if self.eval_days < 1 or self.gap_days < 0:
            raise ValueError(f"eval_days is {self.eval_days} (at least 1), gap_days is {self.gap_days} (at least 0)")

    @property
    def first_eval_day(self) -> int:
        return self.last_day - self.eval_days + 1

    @property
    def last_train_day(self) -> int:
        return self.first_eval_day - self.gap_days - 1

    def masks(self, days: np.ndarray) -> dict[str, np.ndarray]:
        """Return, by split, which rows of ``days`` (days since 1970, shape [rows]) belong to it."""
        return {
            TRAIN: days <= self.last_train_day,
            EVAL: (days >= self.first_eval_day) & (days <= self.last_day),
        }


def format_day(day: int) -> str:
    return str(np.datetime64(day, "D"))


def split_by_hash(example: bytes, eval_percent: int) -> str:
    """Choose a split from the content alone: equal rows fall together, and every run chooses the same."""
    bucket = int.from_bytes(hashlib.sha256(example).digest()[:8], "big") % 100
    return EVAL if bucket < eval_percent else TRAIN
