"""Polyphonic music, frame by frame."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from study.base.errors import UserError
from study.tasks import TASKS
from study.tasks.base import Batch, DatasetTask
from study.tasks.real.files import existing, missing, quoted, read_bytes, read_text
from study.tasks.real.lazy import LazyBatch
from study.tasks.real.plain_pickle import read_pickle

LOWEST, NOTES = 21, 88  # MIDI numbers of a piano's keys
MOST_FRAMES = 5_000_000  # MuseData, the largest of the four usual sets, has 330,000
SPLITS: Mapping[Literal["training", "validation", "test"], tuple[str, ...]] = {
    "training": ("train",),
    "validation": ("valid", "validation"),
    "test": ("test",),
}


@TASKS.register
class Music(DatasetTask):
    """Which notes sound in the next frame of a piece?

    Piano rolls of 88 keys with the split of Boulanger-Lewandowski, Bengio & Vincent (2012): JSB
    Chorales, Nottingham, Piano-midi.de or MuseData. A pickle or JSON file {"train", "valid",
    "test"}: a list of pieces, each a list of frames, each the MIDI numbers (21-108) that sound; the
    pickle is read without executing it. Frame t is read, frame t + 1 predicted, from the first to
    the last but one, each note a Bernoulli variable given the past.

    Loss: negative log-likelihood of a frame, Σ over the 88 notes of -y ln p - (1-y) ln(1-p), mean
    over all frames of all pieces (evaluated 500 pieces at a time). ``accuracy`` at a threshold of
    1/2 is TP/(TP + FP + FN), Bay, Ehmann & Downie (2009). Chance: every note at its own frequency
    in training, Σ H(p_n). Published on JSB: LSTM 8.67, GRU 8.54, Chung et al. (2014); the
    lags are those of bars and phrases.
    """

    title: ClassVar[str] = "Polyphonic music, the next frame"
    source: ClassVar[str] = (
        "Boulanger-Lewandowski, Bengio & Vincent (2012), Modeling temporal dependencies in"
        " high-dimensional sequences"
    )
    reads: ClassVar[Literal["last", "every"]] = "every"
    causal: ClassVar[bool] = True
    loss_name: ClassVar[str] = "negative log-likelihood (nats per frame)"
    metric: ClassVar[str | None] = "accuracy"
    needs_files: ClassVar[bool] = True

    name: Literal["music"] = "music"
    path: str = Field(default="", description="the pickle or JSON file")
    solved_below: float = Field(default=9.0, gt=0, description="validation loss, nats per frame")

    @property
    def _pieces(self) -> "Pieces":
        return _load(self.path)

    @property
    def input_size(self) -> int:
        self._pieces  # noqa: B018  # asked for by every configuration: refused without files
        return NOTES

    @property
    def output_size(self) -> int:
        return NOTES

    @property
    def steps(self) -> int:
        return self._pieces.steps

    @property
    def lag(self) -> tuple[int, int]:
        return 0, self.steps - 1

    @property
    def chance_loss(self) -> float:
        p = self._pieces.frequencies
        p = p[(p > 0) & (p < 1)]
        return float(-(p * np.log(p) + (1 - p) * np.log1p(-p)).sum())

    @property
    def chance_metric(self) -> float:
        """Of always the notes that sound more often than not: usually of none, 0."""
        p = self._pieces.frequencies
        always = p > 0.5
        right = p[always].sum()
        return float(right / (always.sum() + p[~always].sum())) if always.any() else 0.0

    @property
    def solved_rule(self) -> str:
        return f"loss below {self.solved_below:g} nats per frame"

    def solved(self, scores: Mapping[str, float]) -> bool:
        return scores["loss"] < self.solved_below

    def splits(self) -> Mapping[Literal["training", "validation", "test"], Batch]:
        return self._pieces.splits

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        there = ~targets.isnan()
        losses = functional.binary_cross_entropy_with_logits(
            predictions, targets.nan_to_num(), reduction="none"
        )
        return losses.where(there, 0).sum() / there[..., 0].sum()

    def scores(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        told, true = (predictions > 0) & ~targets.isnan(), targets > 0.5
        either = int((told | true).sum())
        return {
            "loss": float(self.loss(predictions, targets)),
            "accuracy": int((told & true).sum()) / either if either else 1.0,
        }


@dataclass(frozen=True)
class Pieces:
    splits: Mapping[Literal["training", "validation", "test"], Batch]
    frequencies: np.ndarray  # of each note over the frames predicted in training
    steps: int  # of the longest piece


@lru_cache(maxsize=2)
def _load(path: str) -> Pieces:
    file = existing(path)
    if file is None or not file.is_file():
        raise missing(
            "music",
            path,
            "a pickle or JSON file of piano rolls with train, valid and test",
            "JSB Chorales.pickle, Nottingham.pickle, … are at www-etud.iro.umontreal.ca/~boulanni/icml2012",
        )
    rolls = {split: _roll(file, split, pieces) for split, pieces in read_rolls(file).items()}
    steps, pieces = rolls["training"].frames[1:], rolls["training"].ends + 1
    frequencies = (steps.sum((0, 1)).double() / pieces.sum()).numpy()
    if not ((frequencies > 0) & (frequencies < 1)).any():
        raise UserError(f"{file}: no note both sounds and is silent in the training pieces")
    splits = {split: LazyBatch(len(roll.ends), roll.batch) for split, roll in rolls.items()}
    return Pieces(splits, frequencies, max(len(roll.frames) - 1 for roll in rolls.values()))


@dataclass(frozen=True)
class Roll:
    """The pieces of a part; a key a byte, as all of a large set in float32 would take gigabytes."""

    frames: Tensor  # (T + 1, pieces, 88), uint8
    ends: Tensor  # (pieces), the last frame that is read

    def batch(self, rows: Tensor) -> Batch:
        """Frames 0 … n-2 in, 1 … n-1 out."""
        ends, frames = self.ends[rows], self.frames[:, rows].float()
        there = torch.arange(len(frames) - 1)[:, None] <= ends
        targets = frames[1:].clone()
        targets[~there] = math.nan
        return Batch(frames[:-1] * there[..., None], targets, ends)


def _roll(file: Path, split: str, pieces: list[list[list[int]]]) -> Roll:
    pieces = [piece for piece in pieces if len(piece) > 1]
    if not pieces:
        raise UserError(f"{file} has no {split} piece of two frames or more")
    lengths = torch.tensor([len(piece) for piece in pieces])
    steps = int(lengths.max())
    if steps * len(pieces) > MOST_FRAMES:
        raise UserError(
            f"{file}: {len(pieces)} {split} pieces of up to {steps} frames are too many"
        )
    frames = torch.zeros(steps, len(pieces), NOTES, dtype=torch.uint8)
    for i, piece in enumerate(pieces):
        for t, frame in enumerate(piece):
            frames[t, i, [note - LOWEST for note in frame]] = 1
    return Roll(frames, lengths - 2)


def read_rolls(
    file: Path,
) -> Mapping[Literal["training", "validation", "test"], list[list[list[int]]]]:
    """The three lists of pieces. Raises UserError for anything but lists of MIDI numbers."""
    if file.suffix.lower() == ".json":
        try:
            given = json.loads(read_text(file))
        except (ValueError, RecursionError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"{file} is not valid JSON: {str(error)[:100]}") from None
    else:
        given = read_pickle(read_bytes(file), file)
    if not isinstance(given, dict):
        raise UserError(f"{file} must hold a dictionary with train, valid and test")
    rolls: dict[Literal["training", "validation", "test"], list[list[list[int]]]] = {}
    frames = 0
    for split, names in SPLITS.items():
        name = next((name for name in names if name in given), None)
        if name is None:
            raise UserError(
                f"{file} has no {names[0]!r} beside {', '.join(_told(key) for key in [*given][:9])}"
            )
        pieces = _sequence(given[name], f"{file}: {name}")
        places = [f"{file}: {name}, piece {i}" for i in range(len(pieces))]
        # Counted before any is looked into: a small pickle can hold one piece a million times.
        frames += sum(len(_sequence(p, at)) for p, at in zip(pieces, places, strict=True))
        if frames > MOST_FRAMES:
            raise UserError(f"{file} has more than {MOST_FRAMES:,} frames")
        rolls[split] = [
            [_frame(frame, f"{at}, frame {t}") for t, frame in enumerate(piece)]
            for piece, at in zip(pieces, places, strict=True)
        ]
    return rolls


def _sequence(given: Any, where: str) -> list[Any] | tuple[Any, ...]:
    if not isinstance(given, list | tuple):
        raise UserError(f"{where} is no list but {type(given).__name__}")
    return given


def _frame(given: Any, where: str) -> list[int]:
    """The notes that sound; -1 is a rest, as some files in JSON write it."""
    if len(_sequence(given, where)) > NOTES:
        raise UserError(f"{where} has {len(given)} notes, a piano {NOTES}")
    whole = [int(n) if type(n) is float and n.is_integer() else n for n in given]
    notes = [note for note in whole if not (type(note) is int and note == -1)]
    for note in notes:
        if type(note) is not int or not LOWEST <= note < LOWEST + NOTES:
            raise UserError(
                f"{where}: {_told(note)} is no MIDI number of a piano's key, "
                f"{LOWEST} to {LOWEST + NOTES - 1}; -1 is a rest"
            )
    return notes


def _told(given: Any) -> str:
    """What it is, in a message; of a list no more than that."""
    plain = given is None or type(given) in (int, float, bool, str)
    return quoted(str(given)) if plain else type(given).__name__
