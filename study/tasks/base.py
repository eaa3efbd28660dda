"""What a task is: where its sequences come from, what is asked of them, and what chance achieves."""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor

from study.base.errors import UserError
from study.base.registry import Choice
from study.base.seeding import generator
from study.tasks.batch import Batch
from study.tasks.fingerprint import fingerprint
from study.tasks.measures import (
    NO_TARGET,
    accuracy,
    cross_entropy,
    cross_entropy_where_asked,
    mean_of_sequences,
    outputs_within,
    share_all_right,
    squared_error_where_asked,
    step_chance,
)
from study.tasks.parts import FEWEST, MOST, HeldOut, Part, belongs

# A task finds here all that it is written with.
__all__ = [
    "NO_TARGET",
    "RARE",
    "Batch",
    "DatasetTask",
    "HeldOut",
    "LabelTask",
    "Part",
    "Reads",
    "SyntheticTask",
    "Task",
    "accuracy",
    "between",
    "cross_entropy",
    "cross_entropy_where_asked",
    "fingerprint",
    "legible",
    "mean_of_sequences",
    "one_hot",
    "outputs_within",
    "share_all_right",
    "squared_error_where_asked",
    "step_chance",
]

VALIDATION_SEQUENCES = 1_000
TEST_SEQUENCES = 10_000
RARE = "·"  # in a drawing, all that is not kept apart
LONGEST_WORD = 40  # characters in a drawing
CONFIRMATION_SEQUENCES = 4_000
FOURTHS = 4  # of a data set's validation part, each of which must meet the criterion
DRAWN_AT_ONCE = 1_000  # sequences, where nine of ten are of another part

# When a task's answers are given: after the last step of a sequence, at every step, or as a sequence
# of their own that is written after it.
Reads = Literal["last", "every", "generated"]


class Task(Choice):
    """A problem with a known lag between cause and effect.

    Predictions are (S,B,C) tensors, one for each step that the model is read at: the last step of
    every sequence (``reads = "last"``, S = 1), every step (``"every"``, S = T), or each of up to S
    further steps that write a sequence of their own (``"generated"``: see `GeneratingTask`).
    ``causal``: inputs show the answers to earlier steps, which a network that reads backward too
    would only look up. ``reads_state``: predictions are the first C numbers of the layers' outputs,
    with nothing trained in between. A constant answer would be for a bias to learn; so chance is then
    the loss of a state that stays at zero, and the floor that of the source's own network at its best.
    """

    title: ClassVar[str]
    source: ClassVar[str]
    reads: ClassVar[Reads]
    loss_name: ClassVar[str]
    metric: ClassVar[str | None] = None  # the name of what is reported beside the loss
    most_tested: ClassVar[int] = TEST_SEQUENCES  # fewer where an alphabet makes sequences large
    causal: ClassVar[bool] = False
    reads_state: ClassVar[bool] = False
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
    def answer_steps(self) -> int:
        """S, the steps with a prediction, of the longest sequence."""
        return 1 if self.reads == "last" else self.steps

    @property
    def lag(self) -> tuple[int, int]:
        """Fewest and most steps from the earliest input that an answer depends on to the answer."""
        raise NotImplementedError

    @property
    def alphabet(self) -> Sequence[str] | None:
        """A name for each input of a one-hot code, a character or a word; None for inputs that are
        numbers."""
        return None

    @property
    def channels(self) -> Sequence[str] | None:
        """A name for each input that is a number; None where they are numbered."""
        return None

    @property
    def symbolic(self) -> bool:
        """Whether inputs are a one-hot code, which can be embedded."""
        return self.alphabet is not None

    @property
    def answers(self) -> Sequence[str] | None:
        """A name for each class, or for each value that is asked; None where they are numbered."""
        return None

    @property
    def writes(self) -> bool:
        """Whether a trained network can be asked to write: an answer, or on and on."""
        if self.reads == "generated":
            return True
        return self.causal and self.symbolic and self.input_size == self.output_size

    def encode(self, text: str) -> list[int]:
        """The symbols of an input. Raises UserError, with the known ones, for any other."""
        names = self.alphabet or ()
        for letter in text:
            if letter not in names:
                raise UserError(
                    f"task {self.name!r} reads no {letter!r}; it reads {''.join(names)}"
                )
        return [names.index(letter) for letter in text]

    def unknown(self, text: str) -> str:
        """The characters of an input that are read as one, the class of all that are not kept apart."""
        return ""

    def decode(self, symbols: Sequence[int]) -> str:
        """What is written, as text."""
        names = [str(s) if self.answers is None else self.answers[s] for s in symbols]
        return ("" if all(len(name) == 1 for name in names) else " ").join(names)

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
    def floor_loss(self) -> float:
        """Expected loss of the best prediction there is; above 0 where not all can be foreseen."""
        return 0.0

    @property
    def plateaus(self) -> Mapping[str, float]:
        """Loss levels between chance and solved at which partial solutions sit."""
        return {}

    def partly(self, batch: Batch) -> Mapping[str, Tensor]:
        """What tells a part of the answers to a batch, by name: (S,B,·) numbers. See `baselines`."""
        return {}

    @property
    def solved_rule(self) -> str:
        """The criterion in words."""
        raise NotImplementedError

    def solved(self, scores: Mapping[str, float]) -> bool:
        """Whether scores measured on held-out sequences meet the criterion."""
        raise NotImplementedError

    @property
    def solved_loss(self) -> float | None:
        """The level to which the loss must fall, where that alone is the criterion; else None."""
        return getattr(self, "solved_below", None)

    @property
    def solved_metric(self) -> float | None:
        """The level that ``metric`` must reach, where that alone is the criterion; else None."""
        return getattr(self, "solved_at", None)

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

    def confirmation(self, attempt: int) -> Sequence[Batch]:
        """What the criterion must hold on as well, each by itself, once validation meets it.

        Of many looks at the validation part one may be lucky; so these are of no look before, and of
        the test part none. ``attempt`` counts from 0 how often that was asked in a trial. Empty for a
        task with nothing to draw anew.
        """
        raise NotImplementedError

    def test(self) -> Batch:
        raise NotImplementedError

    def check_data(self) -> None:
        """Raises UserError for data that cannot be used; asked for before anything is written."""

    @property
    def remarks(self) -> Sequence[str]:
        """What to know before its numbers are trusted, a line each."""
        return ()

    def has_data_of(self, card: Mapping[str, object]) -> bool:
        """Whether this task's data are those that an earlier `card` is of, as far as it says."""
        return True

    def card(self) -> dict[str, object]:
        """What a reader of results needs to know about the task, as JSON can hold it."""
        return {
            "name": self.name,
            "title": self.title,
            "length": getattr(self, "length", self.steps),
            "steps": self.steps,
            "lag": list(self.lag),
            "loss": self.loss_name,
            "chance_loss": self.chance_loss,
            "floor_loss": self.floor_loss,
            "plateaus": dict(self.plateaus),
            "solved": self.solved_rule,
            "solved_loss": self.solved_loss,
            "solved_metric": self.solved_metric,
            "metric": self.metric,
            "chance_metric": self.chance_metric,
        }


class LabelTask(Task):
    """Targets are class numbers: cross-entropy, and the share that the most active output gets right."""

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(predictions, targets)

    def scores(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        return {
            "loss": float(self.loss(predictions, targets)),
            "accuracy": accuracy(predictions, targets),
        }


class SyntheticTask(Task):
    """Sequences drawn from a generator; none of the parts shares a stream.

    Where there are so few different sequences that streams would meet, each is kept for one part.
    """

    @property
    def variety(self) -> float:
        """How many different sequences there are, 1/Σp² (`parts.variety`); infinitely many numbers."""
        return math.inf

    @property
    def memorized(self) -> bool:
        return self.variety < FEWEST

    def content(self, batch: Batch) -> Tensor:
        """(T,B,·) whole numbers: what tells two sequences apart, if not noise."""
        return batch.inputs

    def sample(self, generator: Generator, n: int) -> Batch:
        """``n`` sequences for whatever part; the same generator state gives the same bytes."""
        raise NotImplementedError

    def of_part(self, part: Part, generator: Generator, n: int) -> Batch:
        """As `sample`. Of sequences so few that the streams would meet, those kept for that part."""
        if not FEWEST <= self.variety <= MOST:
            return self.sample(generator, n)
        at_once = n if part == "training" else DRAWN_AT_ONCE
        found, missing = [], n
        while missing:
            some = self.sample(generator, at_once)
            rows = belongs(self.content(some), part).nonzero()[:missing, 0]
            found.append(some.take(rows))
            missing -= len(rows)
        return Batch.joined(found)

    def held_out(self, part: HeldOut, generator: Generator, n: int) -> Batch:
        """``n`` sequences of that part, or as many as the task's size allows."""
        return self.of_part(part, generator, min(n, self.most_tested))

    def training(self, seed: int, size: int) -> Iterator[Batch]:
        stream = generator("training", seed)
        while True:
            yield self.of_part("training", stream, size)

    def validation(self) -> Batch:
        return self.held_out("validation", generator("validation", 0), VALIDATION_SEQUENCES)

    def confirmation(self, attempt: int) -> Sequence[Batch]:
        draws = generator("confirmation", attempt)
        return [self.held_out("confirmation", draws, CONFIRMATION_SEQUENCES)]

    def test(self) -> Batch:
        return self.held_out("test", generator("test", 0), TEST_SEQUENCES)


class DatasetTask(Task):
    """A fixed data set with a fixed split."""

    def splits(self) -> Mapping[Literal["training", "validation", "test"], Batch]:
        raise NotImplementedError

    @cached_property
    def _splits(self) -> Mapping[Literal["training", "validation", "test"], Batch]:
        return self.splits()

    def check_data(self) -> None:
        self.validation()

    @cached_property
    def data_id(self) -> str:
        names = [list(n or ()) for n in (self.alphabet, self.channels, self.answers)]
        return fingerprint(self._splits.items(), names)

    def card(self) -> dict[str, object]:
        return {**super().card(), "data": self.data_id}

    def has_data_of(self, card: Mapping[str, object]) -> bool:
        return card.get("data", self.data_id) == self.data_id

    def training(self, seed: int, size: int) -> Iterator[Batch]:
        """Epochs without end, each in a fresh order; an epoch's last, smaller batch is used too."""
        stream, data = generator("training", seed), self._splits["training"]
        while True:
            for rows in torch.randperm(len(data), generator=stream).split(size):
                yield data.take(rows)

    def validation(self) -> Batch:
        return self._splits["validation"]

    def confirmation(self, attempt: int) -> Sequence[Batch]:
        """Fourths of the validation part, every fourth sequence: there is no other than the test's.

        That each meets it asks for about 2 standard errors of the whole more than the criterion, as the
        lowest of four is 1.03 of a fourth's below their mean. By less, a stop at the first of many
        looks that meets it is one at a lucky look.
        """
        whole = self.validation()
        if self.memorized or len(whole) < FOURTHS:
            return []
        return [whole.take(slice(first, None, FOURTHS)) for first in range(FOURTHS)]

    def test(self) -> Batch:
        return self._splits["test"]


def one_hot(symbols: Tensor, count: int) -> Tensor:
    """(T,B) -> (T,B,count) in float32; zeros where the symbol is negative."""
    shown = torch.zeros(*symbols.shape, count, device=symbols.device)
    return shown.scatter_(-1, symbols.clamp(min=0)[..., None], (symbols >= 0)[..., None].float())


def legible(unit: str) -> str:
    """A character or word as a drawing has it: a line break is ↵, what has no width a dot."""
    if unit == "\n":
        return "↵"
    if len(unit) > LONGEST_WORD:
        unit = f"{unit[: LONGEST_WORD - 1]}…"
    return unit if unit.isprintable() else RARE


def between(low: int, high: int, shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Whole numbers, low and high included."""
    return torch.randint(low, high + 1, shape, generator=generator)
