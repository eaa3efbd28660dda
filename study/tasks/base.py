"""What a task is: where its sequences come from, what is asked of them, and what chance achieves."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor
from torch.nn import functional

from study.registry import Choice
from study.seeding import generator

VALIDATION_SEQUENCES = 1_000
TEST_SEQUENCES = 10_000


@dataclass(frozen=True)
class Batch:
    """Sequences and what is asked of them.

    ``inputs`` (T,B,I). ``targets`` is (S,B) class numbers or (S,B,C) values for the S steps at which
    the model is read; where nothing is asked at a step, values are NaN. ``ends`` (B,), when sequences
    differ in length, is the index of each one's last step; inputs after it are zero and never read.
    """

    inputs: Tensor
    targets: Tensor
    ends: Tensor | None = None

    def __len__(self) -> int:
        return self.inputs.shape[1]

    def take(self, rows: Tensor | slice) -> "Batch":
        """Some of the sequences."""
        ends = None if self.ends is None else self.ends[rows]
        return Batch(self.inputs[:, rows], self.targets[:, rows], ends)

    def to(self, dtype: torch.dtype) -> "Batch":
        """With floating-point tensors in that precision."""
        targets = self.targets.to(dtype) if self.targets.is_floating_point() else self.targets
        return Batch(self.inputs.to(dtype), targets, self.ends)


class Task(Choice):
    """A problem with a known lag between cause and effect.

    Predictions are (S,B,C) tensors, one for each step that the model is read at: the last step of
    every sequence (``reads = "last"``, S = 1) or every step (``"every"``, S = T).
    """

    title: ClassVar[str]
    source: ClassVar[str]
    reads: ClassVar[Literal["last", "every"]]
    loss_name: ClassVar[str]
    metric: ClassVar[str | None] = None  # the name of what is reported beside the loss
    needs_files: ClassVar[bool] = False  # at its defaults; nothing is fetched unless asked

    @property
    def input_size(self) -> int:
        raise NotImplementedError

    @property
    def output_size(self) -> int:
        raise NotImplementedError

    @property
    def steps(self) -> int:
        """T, of the longest sequence."""
        raise NotImplementedError

    @property
    def memorized(self) -> bool:
        """Whether the task is a few sequences to be learned by heart, the same in all data sets."""
        return False

    @property
    def chance_loss(self) -> float:
        """Expected loss of the best prediction that ignores the input; derived in the docstring."""
        raise NotImplementedError

    @property
    def chance_metric(self) -> float | None:
        return None

    @property
    def plateaus(self) -> Mapping[str, float]:
        """Loss levels between chance and solved at which partial solutions sit."""
        return {}

    @property
    def solved_rule(self) -> str:
        """The criterion in words."""
        raise NotImplementedError

    def solved(self, scores: Mapping[str, float]) -> bool:
        """Whether scores measured on held-out sequences meet the criterion."""
        raise NotImplementedError

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Mean over steps and sequences, a scalar."""
        raise NotImplementedError

    def scores(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        """``loss`` and the task's other measures."""
        return {"loss": float(self.loss(predictions, targets))}

    def training(self, seed: int, size: int) -> Iterator[Batch]:
        """Mini-batches without end."""
        raise NotImplementedError

    def validation(self) -> Batch:
        """The same sequences for every trial, so that trials compare."""
        raise NotImplementedError

    def test(self) -> Batch:
        raise NotImplementedError

    def card(self) -> dict[str, object]:
        """What a reader of results needs to know about the task, as JSON can hold it."""
        return {
            "name": self.name,
            "title": self.title,
            "length": getattr(self, "length", self.steps),
            "steps": self.steps,
            "loss": self.loss_name,
            "chance_loss": self.chance_loss,
            "plateaus": dict(self.plateaus),
            "solved": self.solved_rule,
            "metric": self.metric,
            "chance_metric": self.chance_metric,
        }


class SyntheticTask(Task):
    """Sequences drawn from a generator; none of training, validation and test shares a stream."""

    def sample(self, generator: Generator, n: int) -> Batch:
        """``n`` sequences; the same generator state gives the same bytes."""
        raise NotImplementedError

    def training(self, seed: int, size: int) -> Iterator[Batch]:
        stream = generator("training", seed)
        while True:
            yield self.sample(stream, size)

    def validation(self) -> Batch:
        return self.sample(generator("validation", 0), VALIDATION_SEQUENCES)

    def test(self) -> Batch:
        return self.sample(generator("test", 0), TEST_SEQUENCES)


class DatasetTask(Task):
    """A fixed data set with a fixed split."""

    def splits(self) -> Mapping[Literal["training", "validation", "test"], Batch]:
        raise NotImplementedError

    @cached_property
    def _splits(self) -> Mapping[Literal["training", "validation", "test"], Batch]:
        return self.splits()

    def training(self, seed: int, size: int) -> Iterator[Batch]:
        """Epochs without end, each in a fresh order; an epoch's last, smaller batch is used too."""
        stream, data = generator("training", seed), self._splits["training"]
        while True:
            for rows in torch.randperm(len(data), generator=stream).split(size):
                yield data.take(rows)

    def validation(self) -> Batch:
        return self._splits["validation"]

    def test(self) -> Batch:
        return self._splits["test"]


def cross_entropy(predictions: Tensor, targets: Tensor) -> Tensor:
    """Mean of -log softmax(predictions)[target] in nats; (S,B,C) and (S,B)."""
    return functional.cross_entropy(predictions.flatten(0, 1), targets.flatten())


def accuracy(predictions: Tensor, targets: Tensor) -> float:
    """Share of positions whose most active output is the target."""
    return float((predictions.argmax(-1) == targets).double().mean())
