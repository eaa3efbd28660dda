"""Classes of sequences that come from files: chance is the classes' frequencies."""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from study.tasks.base import DatasetTask, LabelTask

SPLIT_SEED = 0
MOST_CLASSES = 1000


class Classification(LabelTask, DatasetTask):
    """One label a sequence, read after its last step.

    Solved when the accuracy has come ``solved_share`` of the way from that of always answering the
    most frequent class to 1, which means the same whatever the classes' frequencies are.
    """

    reads: ClassVar[Literal["last", "every"]] = "last"
    loss_name: ClassVar[str] = "cross-entropy (nats)"
    metric: ClassVar[str | None] = "accuracy"
    needs_files: ClassVar[bool] = True

    solved_share: float = Field(
        default=0.8, gt=0, le=1, description="of the way from chance to an accuracy of 1"
    )

    @property
    def _prior(self) -> np.ndarray:
        """The classes' frequencies in the training part."""
        raise NotImplementedError

    @property
    def output_size(self) -> int:
        return len(self._prior)

    @property
    def lag(self) -> tuple[int, int]:
        return 0, self.steps - 1

    @property
    def chance_loss(self) -> float:
        there = self._prior[self._prior > 0]
        return float(-(there * np.log(there)).sum())

    @property
    def chance_metric(self) -> float:
        return float(self._prior.max())

    @property
    def solved_metric(self) -> float:
        # A millionth below: the sum of chance and its share need not be exactly 1.
        return self.chance_metric + self.solved_share * (1 - self.chance_metric) - 1e-6

    @property
    def solved_rule(self) -> str:
        return f"accuracy of at least {self.solved_metric:.4g}"

    def solved(self, scores: Mapping[str, float]) -> bool:
        return scores["accuracy"] >= self.solved_metric


def stratified(labels: Sequence[int], shares: Sequence[float]) -> list[np.ndarray]:
    """Indices of disjoint parts: of every class the given shares, rounded, then the rest.

    In one fixed random order; a class of at least two keeps one in the rest.
    """
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    classes = np.asarray(labels)[order]
    parts: list[list[int]] = [[] for _ in range(len(shares) + 1)]
    for label in np.unique(classes):
        rows, taken = order[classes == label].tolist(), 0
        for part, share in zip(parts, shares, strict=False):
            count = min(math.floor(share * len(rows) + 0.5), len(rows) - 1 - taken)
            part += rows[taken : taken + count]
            taken += count
        parts[-1] += rows[taken:]
    return [np.sort(np.asarray(part, dtype=np.int64)) for part in parts]
