"""Numbers in digits, written in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Generator, Tensor

from study.tasks import TASKS
from study.tasks.base import NO_TARGET, Batch, Part, SyntheticTask, between, one_hot, step_chance
from study.tasks.generating import GeneratingTask, prefix_chance
from study.tasks.written.number_names import (
    Spelled,
    Unit,
    beginnings_and_ends,
    of_length,
    spelled,
    vocabulary,
)

SPLIT_SEED = 0
ALL_SHOWN = 2  # numbers of so many digits or fewer are never held out


@TASKS.register
class NumberWords(GeneratingTask, SyntheticTask):
    """Read a number's digits, the first one first, and write it in words: 342, three hundred forty two.

    One-hot digits; words without "and" and hyphens, or their characters with blanks between; an end
    symbol closes. After the number normalization of Gorman & Sproat (2016); the protocol is ours: how
    many digits is drawn uniformly, then the number. A tenth of those with three or more digits is kept
    for validation, one for confirmation and one for test, and smaller ones, which teach the words, for
    training. With ``digits`` of 1 or 2 all is learned by heart, and all sets are the same.

    Chance: the best prediction that knows the step, from all numbers with as many digits as held-out
    ones have; each answer's loss is its mean. The plateau is of a decoder that has learned which words
    follow which but reads nothing. ``exact`` by chance: always the likeliest number. The criterion is
    ours.

    A word hangs on its digit, "hundred" on the hundreds', "thousand" on the last of the thousands'; the
    teens on two, a blank and the end on several. The lag is of what hangs on one.
    """

    title: ClassVar[str] = "Numbers in words"
    source: ClassVar[str] = (
        "after Gorman & Sproat (2016), Minimally supervised number normalization"
    )

    name: Literal["number-words"] = "number-words"
    unit: Unit = Field(default="word", description="what is written at a step")
    digits: int = Field(default=4, ge=1, le=6, description="most digits")
    solved_at: float = Field(default=0.99, gt=0.5, le=1, description="share of numbers all right")

    @property
    def input_size(self) -> int:
        return 10

    @property
    def output_size(self) -> int:
        return len(self.answers)

    @property
    def steps(self) -> int:
        return self.digits

    @property
    def answer_steps(self) -> int:
        return self._levels.answer_steps

    @property
    def end(self) -> int:
        return self.output_size - 1

    @property
    def lag(self) -> tuple[int, int]:
        return self._levels.lag

    @property
    def alphabet(self) -> str:
        return "0123456789"

    @property
    def answers(self) -> Sequence[str]:
        return (*vocabulary(self.digits, self.unit), "∎")

    @property
    def memorized(self) -> bool:
        return self.digits <= ALL_SHOWN

    @property
    def _levels(self) -> "Levels":
        return levels(self.digits, self.unit)

    @property
    def chance_loss(self) -> float:
        return self._levels.chance

    @property
    def chance_metric(self) -> float:
        counts = _digits_held_out(self.digits)
        return 1 / len(counts) / len(of_length(counts[0]))

    @property
    def plateaus(self) -> Mapping[str, float]:
        if self.digits == 1:  # a single word: what was written before says no more than the step
            return {}
        return {f"the {self.unit}s before known, but no digit": self._levels.prefix}

    @property
    def solved_rule(self) -> str:
        return f"at least {self.solved_at:.0%} of the numbers right in every {self.unit}"

    def solved(self, scores: Mapping[str, float]) -> bool:
        return scores["exact"] >= self.solved_at

    def sample(self, generator: Generator, n: int) -> Batch:
        return self.of_part("training", generator, n)

    def of_part(self, part: Part, generator: Generator, n: int) -> Batch:
        part = "training" if self.memorized else part
        kept = [numbers(digits)[part] for digits in range(1, self.digits + 1)]
        kept = [some for some in kept if len(some)]
        which = between(0, len(kept) - 1, (n,), generator).tolist()
        place = torch.rand(n, generator=generator, dtype=torch.float64).tolist()
        pairs = zip(which, place, strict=True)
        return self.written([int(kept[c][int(p * len(kept[c]))]) for c, p in pairs])

    def written(self, chosen: Sequence[int]) -> Batch:
        """These numbers and their names."""
        shown = _padded([[int(digit) for digit in str(number)] for number in chosen], self.steps)
        place = {symbol: i for i, symbol in enumerate(self.answers)}
        names = [[place[symbol] for symbol, _ in spelled(n, self.unit)] for n in chosen]
        targets = _padded([[*name, self.end] for name in names], self.answer_steps)
        return Batch(one_hot(shown, self.input_size), targets, (shown >= 0).sum(0) - 1)

    def alignment(self, batch: Batch) -> Tensor:
        assert batch.ends is not None
        hung = []
        for digits, end in zip(
            batch.inputs.argmax(-1).T.tolist(), batch.ends.tolist(), strict=True
        ):
            name = spelled(int("".join(map(str, digits[: end + 1]))), self.unit)
            hung.append([-1 if place is None else end - place for _, place in name])
        return _padded(hung, self.answer_steps)


def _padded(rows: Sequence[Sequence[int]], length: int) -> Tensor:
    """(length,B), -1 after a row's end."""
    return torch.tensor([[*row, *[NO_TARGET] * (length - len(row))] for row in rows]).T


def _digits_held_out(digits: int) -> range:
    """How many digits the numbers of validation and test have."""
    return range(1 if digits <= ALL_SHOWN else ALL_SHOWN + 1, digits + 1)


@lru_cache(maxsize=6)
def numbers(digits: int) -> Mapping[Part, Tensor]:
    """Those of exactly so many digits, by the part they are kept for."""
    every = of_length(digits)
    order = torch.randperm(len(every), generator=Generator().manual_seed(SPLIT_SEED)) + every[0]
    tenth = 0 if digits <= ALL_SHOWN else len(every) // 10
    parts = order.split([tenth, tenth, tenth, len(every) - 3 * tenth])
    return dict(zip(("validation", "test", "confirmation", "training"), parts, strict=True))


@dataclass(frozen=True)
class Levels:
    """Of all numbers with as many digits as held-out ones have."""

    chance: float
    prefix: float
    answer_steps: int
    lag: tuple[int, int]


@lru_cache(maxsize=12)
def levels(digits: int, unit: Unit) -> Levels:
    """A name is a beginning and an end that do not depend on each other: only their lengths, of which
    there are few, say where a symbol stands and how much it weighs.
    """
    symbols = (*vocabulary(digits, unit), "∎")
    counts = _digits_held_out(digits)
    parts: list[tuple[float, Tensor]] = []  # weight of a symbol; (L,C) how often each is where
    lags: set[int] = set()
    for c in counts:
        firsts, seconds = beginnings_and_ends(c, unit)
        one, two = _by_length(firsts, symbols), _by_length(seconds, symbols)
        lags |= _lags(firsts, 0) | {n for a in (min(one), max(one)) for n in _lags(seconds, a)}
        for (n, first), (m, second) in product(one.values(), two.values()):
            closed = torch.eye(len(symbols), dtype=torch.float64)[-1:] * n * m
            where = torch.cat([first * m, second * n, closed])
            parts.append((1 / len(counts) / len(of_length(c)) / len(where), where))
    shares = torch.zeros(max(len(where) for _, where in parts), len(symbols), dtype=torch.float64)
    for weight, where in parts:
        shares[: len(where)] += weight * where
    weights = torch.tensor([weight for weight, _ in parts], dtype=torch.float64)
    answers = torch.stack([where[-1, -1] for _, where in parts])
    lag = (min(lags), max(lags))
    return Levels(step_chance(shares), prefix_chance(weights, answers), len(shares), lag)


def _by_length(said: list[Spelled], symbols: Sequence[str]) -> dict[int, tuple[int, Tensor]]:
    """How many are so long, and (length,C) how often each symbol is at each of their places."""
    place = {symbol: i for i, symbol in enumerate(symbols)}
    found: dict[int, list[list[int]]] = {}
    for one in said:
        found.setdefault(len(one), []).append([place[symbol] for symbol, _ in one])
    return {
        length: (
            len(same),
            one_hot(torch.tensor(same, dtype=torch.long), len(symbols)).sum(0).double(),
        )
        for length, same in found.items()
    }


def _lags(said: list[Spelled], before: int) -> set[int]:
    """From a symbol's digit to the symbol, with so many symbols before these."""
    return {
        before + i + place + 1
        for one in said
        for i, (_, place) in enumerate(one)
        if place is not None
    }
