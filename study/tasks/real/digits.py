"""Handwritten digits, read pixel by pixel or row by row."""

import math
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import version
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field

from study.base.user_cache import keep, recall
from study.tasks import TASKS
from study.tasks.base import Batch, DatasetTask, LabelTask

SIDE = 8
CLASSES = 10
BRIGHTEST = 16  # grey levels above black
PERMUTATION_SEED = 1
SPLIT = 3  # of random splits, one whose parts are equally hard
HELD_OUT = 400  # sequences each for validation and for test, 40 or so a class


@TASKS.register
class Digits(LabelTask, DatasetTask):
    """Which digit was it, after its 64 pixels have been read one at a time?

    The 1,797 images of 8x8 pixels that come with scikit-learn (the test part of Alpaydin & Kaynak's
    optical digits, UCI 1998), row by row, scaled to [0,1]; with ``permuted`` in one fixed random
    order, which moves neighbours far apart; by "row" eight steps of eight. Split at random,
    stratified by class, ``split_seed`` being the seed: 997 training, 400 validation, 400 test. One split
    may be easier to validate than to test: at an accuracy of 0.9 the standard error of either is 0.015.
    The default is one that is not: in a GRU's training validation was .002 below test in the mean, with
    split 0 .059 above it. The small sister of pixel-by-pixel MNIST, Le, Jaitly & Hinton (2015).

    Chance: ten classes of nearly equal size, ln 10 (the class frequencies' entropy is within 0.001
    of it) and an accuracy of about 0.1.
    """

    title: ClassVar[str] = "Handwritten digits, pixel by pixel"
    source: ClassVar[str] = "scikit-learn's digits; protocol after Le, Jaitly & Hinton (2015)"
    reads: ClassVar[Literal["last", "every"]] = "last"
    loss_name: ClassVar[str] = "cross-entropy (nats)"
    metric: ClassVar[str | None] = "accuracy"

    name: Literal["digits"] = "digits"
    permuted: bool = Field(default=False, description="one fixed random order of the pixels")
    by: Literal["pixel", "row"] = Field(default="pixel", description="what a step reads")
    split_seed: int = Field(default=SPLIT, ge=0, le=1_000_000, description="of the random split")
    solved_at: float = Field(default=0.9, gt=0.1, le=1, description="validation accuracy")

    @property
    def input_size(self) -> int:
        return SIDE if self.by == "row" else 1

    @property
    def output_size(self) -> int:
        return CLASSES

    @property
    def steps(self) -> int:
        return SIDE * SIDE // self.input_size

    @property
    def lag(self) -> tuple[int, int]:
        return self.steps - 1, self.steps - 1

    @property
    def chance_loss(self) -> float:
        return math.log(CLASSES)

    @property
    def chance_metric(self) -> float:
        return 1 / CLASSES

    @property
    def solved_rule(self) -> str:
        return f"accuracy of at least {self.solved_at:.0%}"

    def solved(self, scores: Mapping[str, float]) -> bool:
        return scores["accuracy"] >= self.solved_at

    def splits(self) -> Mapping[Literal["training", "validation", "test"], Batch]:
        return _load(self.permuted, self.input_size, self.split_seed)


@lru_cache(maxsize=4)
def _load(
    permuted: bool, width: int, split: int
) -> Mapping[Literal["training", "validation", "test"], Batch]:
    order = np.arange(SIDE * SIDE)
    if permuted:
        order = np.random.default_rng(PERMUTATION_SEED).permutation(SIDE * SIDE)

    def batch(images: np.ndarray, labels: np.ndarray) -> Batch:
        pixels = torch.from_numpy(images[:, order] / BRIGHTEST).float()
        steps = pixels.unflatten(1, (-1, width)).transpose(0, 1)
        return Batch(steps.contiguous(), torch.from_numpy(labels)[None])

    return {name: batch(*part) for name, part in images_and_labels(split).items()}


@lru_cache(maxsize=4)
def images_and_labels(
    split: int = SPLIT,
) -> Mapping[Literal["training", "validation", "test"], tuple[np.ndarray, np.ndarray]]:
    """Of each part the pixels (N,64), whole numbers from 0 to BRIGHTEST, and the digits (N)."""
    # Loading scikit-learn takes a second: it is loaded once, and its answer kept.
    of = {"scikit-learn": version("scikit-learn"), "split": split, "held out": HELD_OUT}
    kept = recall("digits", of)
    if kept is None:
        kept = _of_scikit_learn(split)
        keep("digits", of, kept)
    parts = kept["training"], kept["validation"], kept["test"]
    training, validation, test = (
        (np.array(images, dtype=np.float64), np.array(labels)) for images, labels in parts
    )
    return {"training": training, "validation": validation, "test": test}


def _of_scikit_learn(split: int) -> dict[str, tuple[list[list[int]], list[int]]]:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    rest, test = train_test_split(
        np.arange(len(labels)), test_size=HELD_OUT, stratify=labels, random_state=split
    )
    training, validation = train_test_split(
        rest, test_size=HELD_OUT, stratify=labels[rest], random_state=split
    )
    parts = {"training": training, "validation": validation, "test": test}
    return {
        name: (images[rows].astype(int).tolist(), labels[rows].tolist())
        for name, rows in parts.items()
    }
