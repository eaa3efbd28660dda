"""Tasks whose sequences are drawn without end."""

import math
from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from study.base.seeding import generator
from study.tasks.batch import Batch
from study.tasks.partition import FEWEST, MOST, HeldOut, Part, belongs
from study.tasks.task import TEST_SEQUENCES, Task

VALIDATION_SEQUENCES = 1_000
CONFIRMATION_SEQUENCES = 500  # of a part …
CONFIRMATIONS = 8  # … of which there are so many, and one more for each time before
BEYOND_SEQUENCES = 250  # of a longer task than was trained
DRAWN_AT_ONCE = 1_000  # sequences, where nine of ten are of another part


class SyntheticTask(Task):
    """Sequences drawn from a generator; none of the parts shares a stream.

    Where there are so few different sequences that streams would meet, each is kept for one part.
    """

    @property
    def variety(self) -> float:
        """How many different sequences there are, 1/Σp² (`partition.variety`); infinitely many numbers."""
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

    def confirmation(self, attempt: int) -> Iterator[Batch]:
        """Parts of 500 sequences, 8 of them and one more for each attempt before.

        That each of several meets the criterion asks for more than that their mean does, the more so the
        more often it was asked. Simulated with accuracies that rise past a criterion of .99, by .0001 to
        .005 an evaluation, or stay near it for good, at most 1.8 % of the runs count as solved and do not
        meet it on 10,000 test sequences: tests/tasks/test_confirmation.py. With one part of 1,000 sequences
        it would be up to 48 %.
        """
        draws = generator("confirmation", attempt)
        for _ in range(CONFIRMATIONS + attempt):
            yield self.held_out("confirmation", draws, CONFIRMATION_SEQUENCES)

    def beyond(self, factor: float) -> tuple[Task, Batch] | None:
        if "length" not in type(self).model_fields or self.memorized:
            return None
        given = self.model_dump()
        try:
            longer = type(self).model_validate({**given, "length": round(given["length"] * factor)})
        except ValueError:  # beyond what a length can be
            return None
        if (longer.input_size, longer.output_size) != (self.input_size, self.output_size):
            return None
        return longer, longer.held_out("test", generator("test", 0), BEYOND_SEQUENCES)

    def test(self) -> Batch:
        return self.held_out("test", generator("test", 0), TEST_SEQUENCES)


def between(low: int, high: int, shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Whole numbers, low and high included."""
    return torch.randint(low, high + 1, shape, generator=generator)
