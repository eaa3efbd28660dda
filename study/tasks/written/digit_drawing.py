"""Handwritten digits, drawn pixel by pixel."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from study.tasks import TASKS
from study.tasks.base import Batch, DatasetTask, accuracy, one_hot
from study.tasks.generating import GeneratingTask
from study.tasks.real.digits import BRIGHTEST, CLASSES, SIDE, images_and_labels

PSEUDO_COUNT = 10  # pictures that smoothing is worth: of 5, 10 and 20 the best at 4 levels


@TASKS.register
class DigitDrawing(GeneratingTask, DatasetTask):
    """Told which digit, draw it as it was written by hand: 64 pixels, each given those before it.

    scikit-learn's images of 8x8 pixels in the split of the task digits, row by row; their 17
    intensities are put into ``levels`` of equal width (with 2 or 3 a few held-out pictures become equal
    to one of another part). The input is one step, one-hot. Distributions of discrete pixels in
    this order are van den Oord, Kalchbrenner & Kavukcuoglu's (2016); the small data, a label, and the
    criterion are ours. No prediction foresees a hand's every pixel: the floor is not known.

    The levels are measured, as losses on the validation part of tables counted in the training part.
    Chance: how often each grey level is where. Its ``accuracy``: the most frequent one. Plateau: the
    same for each digit, which draws all pictures of it alike. Solved: a loss below that of the table
    that knows the pixels to the left and above as well, all three with a context's frequencies drawn
    toward those of the next smaller one by ten pictures' worth. With 4 levels they are 0.780, 0.631
    and 0.567.
    """

    title: ClassVar[str] = "Handwritten digits, drawn pixel by pixel"
    source: ClassVar[str] = (
        "scikit-learn's digits; after van den Oord, Kalchbrenner & Kavukcuoglu (2016), Pixel"
        " recurrent neural networks"
    )
    loss_name: ClassVar[str] = "cross-entropy (nats per pixel)"
    metric: ClassVar[str | None] = "accuracy"

    name: Literal["digit-drawing"] = "digit-drawing"
    levels: int = Field(default=4, ge=2, le=BRIGHTEST + 1, description="of grey, evenly")

    @property
    def input_size(self) -> int:
        return CLASSES

    @property
    def output_size(self) -> int:
        return self.levels

    @property
    def steps(self) -> int:
        return 1

    @property
    def answer_steps(self) -> int:
        return SIDE * SIDE

    @property
    def canvas(self) -> tuple[int, int]:
        return SIDE, SIDE

    @property
    def lag(self) -> tuple[int, int]:
        return 1, SIDE * SIDE

    @property
    def alphabet(self) -> str:
        return "0123456789"

    @property
    def chance_loss(self) -> float:
        return _tables(self.levels).chance

    @property
    def chance_metric(self) -> float:
        return _tables(self.levels).chance_accuracy

    @property
    def plateaus(self) -> Mapping[str, float]:
        return {"digit and place known, nothing drawn before": _tables(self.levels).digit}

    @property
    def solved_loss(self) -> float:
        return _tables(self.levels).neighbours

    @property
    def solved_rule(self) -> str:
        level = self.solved_loss
        return f"loss below {level:.4g}, that of a table of digit, place, and pixels left and above"

    def solved(self, scores: Mapping[str, float]) -> bool:
        return scores["loss"] < self.solved_loss

    def scores(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        return {
            "loss": float(self.loss(predictions, targets)),
            "accuracy": accuracy(predictions, targets),
        }

    def splits(self) -> Mapping[Literal["training", "validation", "test"], Batch]:
        return {
            part: Batch(one_hot(digits[None], CLASSES), greys)
            for part, (greys, digits) in _pictures(self.levels).items()
        }


@dataclass(frozen=True)
class Tables:
    """Losses on the validation part of tables counted in the training part."""

    chance: float
    digit: float
    neighbours: float
    chance_accuracy: float


def _pictures(
    levels: int,
) -> Mapping[Literal["training", "validation", "test"], tuple[Tensor, Tensor]]:
    """Of each part the grey levels (64,B) and the digits (B)."""
    return {
        part: (
            torch.from_numpy(images).long().T * levels // (BRIGHTEST + 1),
            torch.from_numpy(labels),
        )
        for part, (images, labels) in images_and_labels().items()
    }


@lru_cache(maxsize=BRIGHTEST)
def _tables(levels: int) -> Tables:
    pictures = _pictures(levels)
    greys, digits = pictures["validation"]
    places = torch.arange(len(greys))[:, None]
    # (64,1,C), then with one more context each: (64,10,C), (64,10·C,C), (64,10·C²,C)
    table = torch.full((len(greys), 1, levels), 1 / levels, dtype=torch.float64)
    losses, tables = [], []
    for depth, more in enumerate((1, CLASSES, levels, levels)):
        counts = torch.zeros(len(greys), table.shape[1] * more, levels, dtype=torch.float64)
        seen, seen_digits = pictures["training"]
        context = _context(seen, seen_digits, levels, depth)
        weight = torch.ones(seen.shape, dtype=torch.float64)
        counts.index_put_((places, context, seen), weight, accumulate=True)
        prior = table.repeat_interleave(more, dim=1)
        table = counts + PSEUDO_COUNT * prior
        table /= table.sum(-1, keepdim=True)
        predictions = table[places, _context(greys, digits, levels, depth)].log()
        losses.append(float(functional.cross_entropy(predictions.flatten(0, 1), greys.flatten())))
        tables.append(table)
    best = tables[0].argmax(-1)
    return Tables(losses[0], losses[1], losses[3], float((best == greys).double().mean()))


def _context(greys: Tensor, digits: Tensor, levels: int, depth: int) -> Tensor:
    """(64,B): numbers what is known of a pixel: nothing, its digit, and the pixels left and above."""
    drawn = functional.pad(greys.unflatten(0, (SIDE, SIDE)), (0, 0, 1, 0, 1, 0))
    left, above = drawn[1:, :-1].flatten(0, 1), drawn[:-1, 1:].flatten(0, 1)
    known = torch.zeros_like(greys)
    parts = ((digits.expand_as(greys), CLASSES), (left, levels), (above, levels))
    for value, count in parts[:depth]:
        known = known * count + value
    return known
