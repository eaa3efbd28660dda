"""What a task is: where its sequences come from, what is asked of them, and what chance achieves."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor
from torch.nn import functional

from study.errors import UserError
from study.registry import Choice
from study.seeding import generator

VALIDATION_SEQUENCES = 1_000
TEST_SEQUENCES = 10_000
RARE = "·"  # in a drawing, all that is not kept apart
LONGEST_WORD = 40  # characters in a drawing
MOST_SHOWN = 100  # sequences of a part that a fingerprint is of
FEWEST_SHOWN = 10
MOST_NUMBERS = 5_000_000  # that it is of, but for these few; a one-hot text has 200,000 a sequence
NO_TARGET = -1  # the class number of a step at which nothing is asked; among values it is NaN

# When a task's answers are given: after the last step of a sequence, at every step, or as a sequence
# of their own that is written after it.
Reads = Literal["last", "every", "generated"]
HeldOut = Literal["validation", "test"]


@dataclass(frozen=True)
class Batch:
    """Sequences and what is asked of them.

    ``inputs`` (T,B,I). ``targets`` is (S,B) class numbers or (S,B,C) values for the S steps at which
    the model is read; where nothing is asked at a step they are NO_TARGET or NaN. Of a generated
    sequence they are its symbols, NO_TARGET beyond its end. ``ends`` (B,), when sequences differ in
    length, is the index of each one's last step; inputs after it are zero and never read.
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
    """Sequences drawn from a generator; none of training, validation and test shares a stream."""

    def sample(self, generator: Generator, n: int) -> Batch:
        """``n`` training sequences; the same generator state gives the same bytes."""
        raise NotImplementedError

    def held_out(self, part: HeldOut, generator: Generator, n: int) -> Batch:
        """As `sample`. Of sequences so few that the streams would meet, those kept for that part."""
        return self.sample(generator, n)

    def training(self, seed: int, size: int) -> Iterator[Batch]:
        stream = generator("training", seed)
        while True:
            yield self.sample(stream, size)

    def validation(self) -> Batch:
        draws = generator("validation", 0)
        return self.held_out("validation", draws, VALIDATION_SEQUENCES)

    def test(self) -> Batch:
        n = min(TEST_SEQUENCES, self.most_tested)
        return self.held_out("test", generator("test", 0), n)


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

    def test(self) -> Batch:
        return self._splits["test"]


def fingerprint(parts: Iterable[tuple[str, Batch]], names: Sequence[Sequence[str]]) -> str:
    """12 hexadecimal digits of the parts' sizes, of a hundred sequences all over each (of long ones
    fewer), and of what their numbers stand for.

    Numbers count to the third decimal, as machines differ in the last ones of a scaled column.
    """
    digest = sha256(json.dumps(names).encode())
    for name, part in parts:
        digest.update(f"{name} {len(part)}".encode())
        shown = part.take(_all_over(part))
        for values in (shown.inputs, shown.targets):
            if values.is_floating_point():
                values = values.round(decimals=3) + 0.0  # which makes -0 a 0
            digest.update(values.contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def _all_over(part: Batch) -> Tensor:
    """The first sequence, the last, and some between, by whole numbers, which no machine rounds."""
    fit = MOST_NUMBERS // max(part.take(slice(1)).inputs.numel(), 1)
    count = min(len(part), MOST_SHOWN, max(fit, FEWEST_SHOWN))
    return torch.arange(count) * (len(part) - 1) // max(count - 1, 1)


def cross_entropy(predictions: Tensor, targets: Tensor) -> Tensor:
    """Mean of -log softmax(predictions)[target] in nats; (S,B,C) and (S,B)."""
    return functional.cross_entropy(predictions.flatten(0, 1), targets.flatten())


def accuracy(predictions: Tensor, targets: Tensor) -> float:
    """Share of positions whose most active output is the target."""
    return float((predictions.argmax(-1) == targets).double().mean())


def mean_of_sequences(each: Tensor, asked: Tensor) -> Tensor:
    """(S,B) -> the mean over sequences of each one's mean over the steps that ask something.

    So a sequence counts the same in a batch of unequal ones as alone.
    """
    return (each.where(asked, 0).sum(0) / asked.sum(0).clamp(min=1)).mean()


def cross_entropy_where_asked(predictions: Tensor, targets: Tensor) -> Tensor:
    """`cross_entropy` over the steps whose target is not NO_TARGET; see `mean_of_sequences`."""
    each = functional.cross_entropy(
        predictions.flatten(0, 1), targets.flatten(), ignore_index=NO_TARGET, reduction="none"
    )
    return mean_of_sequences(each.view(targets.shape), targets != NO_TARGET)


def squared_error_where_asked(predictions: Tensor, targets: Tensor) -> Tensor:
    """Mean of (prediction - target)² over the steps whose target is not NaN; (S,B,1) each."""
    asked = ~targets.isnan()
    each = (predictions - targets.nan_to_num()) ** 2
    return mean_of_sequences(each[..., 0], asked[..., 0])


def share_all_right(right: Tensor, asked: Tensor) -> float:
    """Share of sequences that are right (S,B) at every step that asks something."""
    return float((right | ~asked).all(dim=0).double().mean())


def outputs_within(predictions: Tensor, targets: Tensor, bound: float) -> Tensor:
    """(S,B): every output, after the softmax, is nearer than that to its 0 or 1."""
    wanted = functional.one_hot(targets.clamp(min=0), predictions.shape[-1])
    return (predictions.softmax(-1) - wanted).abs().amax(-1) < bound


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


def step_chance(shares: Tensor) -> float:
    """Cross-entropy of the best prediction that knows the step's index only.

    ``shares`` (S,C): the expected weight in the loss of class c being asked for at step s; all sum
    to 1.
    """
    totals = shares.sum(dim=1, keepdim=True)
    return float(-torch.special.xlogy(shares, shares / totals.clamp(min=1e-300)).sum())
