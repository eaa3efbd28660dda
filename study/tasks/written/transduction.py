"""Copying, reversing, or flipping the pairs of a string."""

import math
import string
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Generator, Tensor

from study.tasks import TASKS
from study.tasks.base import (
    NO_TARGET,
    Batch,
    SyntheticTask,
    between,
    one_hot,
    step_chance,
)
from study.tasks.generating import GeneratingTask
from study.tasks.partition import power, variety

# 128 letters and figures, each as wide as a character: ASCII's, and Latin letters with accents.
_ACCENTED = "".join(c for c in map(chr, range(0xC0, 0x180)) if c.isalpha())
SYMBOLS = (string.ascii_uppercase + string.ascii_lowercase + string.digits + _ACCENTED)[:128]


@TASKS.register
class Transduction(GeneratingTask, SyntheticTask):
    """Read a string of random symbols; write the same, its reversal, or each two symbols swapped.

    One-hot symbols, drawn uniformly; abcd is answered by abcd (copy), dcba (reversal) or badc
    (bigram-flipping, of an even number). Grefenstette et al. (2015), Learning to transduce with
    unbounded memory: 128 symbols, 8 to 64 of them in training; there one network reads and writes in
    one stream, and is tested on longer strings too. ``length`` here is fixed, or with ``variable``
    drawn uniformly from an eighth of it, rounded up, to all of it; an answer then closes with an end
    symbol.

    Chance: ln of the number of symbols. With ``variable`` each answer's loss is its mean, so that at
    step s each length n weighs 1/(n+1): the best prediction is the end with the weight of n = s, the
    rest shared by the symbols. Who counts but reads no symbol pays the mean over n of n ln K/(n+1).
    ``exact`` is the source's coarse-grained accuracy; by chance the shortest strings are guessed. The
    criterion, 99 % of them, is ours. The lag is that of the symbols: always T when copying.
    """

    title: ClassVar[str] = "Transduction: copy, reversal, bigram flipping"
    source: ClassVar[str] = (
        "Grefenstette, Hermann, Suleyman & Blunsom (2015), Learning to transduce with unbounded memory"
    )
    most_tested: ClassVar[int] = 2_560

    name: Literal["transduction"] = "transduction"
    kind: Literal["copy", "reversal", "bigram-flipping"] = Field(
        default="reversal", description="what is written"
    )
    length: int = Field(default=10, ge=1, le=1_000, description="T, symbols in the longest string")
    symbols: int = Field(default=8, ge=2, le=len(SYMBOLS), description="different ones")
    variable: bool = Field(
        default=False, description="lengths drawn from T/8 to T, and told by an end"
    )
    solved_at: float = Field(default=0.99, gt=0.5, le=1, description="share of strings all right")

    @model_validator(mode="after")
    def _pairs_come_out_even(self) -> "Transduction":
        if self.kind == "bigram-flipping" and self.length % 2:
            raise ValueError(f"bigram-flipping needs an even length, and {self.length} is odd")
        return self

    @property
    def lengths(self) -> range:
        """Those that are drawn."""
        if not self.variable:
            return range(self.length, self.length + 1)
        shortest, step = -(-self.length // 8), 1
        if self.kind == "bigram-flipping":
            shortest, step = shortest + shortest % 2, 2
        return range(shortest, self.length + 1, step)

    @property
    def input_size(self) -> int:
        return self.symbols

    @property
    def output_size(self) -> int:
        return self.symbols + self.variable

    @property
    def steps(self) -> int:
        return self.length

    @property
    def answer_steps(self) -> int:
        return self.length + self.variable

    @property
    def end(self) -> int | None:
        return self.symbols if self.variable else None

    @property
    def lag(self) -> tuple[int, int]:
        shortest, longest = self.lengths[0], self.length
        match self.kind:
            case "copy":
                return shortest, longest
            case "reversal":
                return 1, 2 * longest - 1
            case _:
                return shortest - 1, longest + 1

    @property
    def alphabet(self) -> str:
        return SYMBOLS[: self.symbols]

    @property
    def answers(self) -> str:
        return self.alphabet + "∎" * self.variable

    @property
    def chance_loss(self) -> float:
        if not self.variable:
            return math.log(self.symbols)
        lengths, steps = torch.tensor(self.lengths), torch.arange(self.answer_steps)[:, None]
        weight = 1 / (lengths + 1).double() / len(lengths)
        each = (weight * (steps < lengths)).sum(1, keepdim=True) / self.symbols
        end = (weight * (steps == lengths)).sum(1, keepdim=True)
        return step_chance(torch.cat([each.expand(-1, self.symbols), end], dim=1))

    @property
    def chance_metric(self) -> float:
        return self.symbols ** -float(self.lengths[0]) / len(self.lengths)

    @property
    def plateaus(self) -> Mapping[str, float]:
        if len(self.lengths) == 1:
            return {}
        level = sum(n * math.log(self.symbols) / (n + 1) for n in self.lengths) / len(self.lengths)
        return {"where it ends known, but no symbol": level}

    @property
    def solved_rule(self) -> str:
        return f"at least {self.solved_at:.0%} of the strings right in every symbol"

    def solved(self, scores: Mapping[str, float]) -> bool:
        return scores["exact"] >= self.solved_at

    @property
    def variety(self) -> float:
        return variety(power(self.symbols, n) for n in self.lengths)

    def sample(self, generator: Generator, n: int) -> Batch:
        symbols = between(0, self.symbols - 1, (self.length, n), generator)
        if not self.variable:
            hung = self._sources(torch.full((n,), self.length))
            return Batch(one_hot(symbols, self.symbols), symbols.gather(0, hung))
        lengths = torch.tensor(self.lengths)[between(0, len(self.lengths) - 1, (n,), generator)]
        hung = self._sources(lengths)
        targets = symbols.gather(0, hung.clamp(min=0)).where(hung >= 0, NO_TARGET)
        targets[lengths, torch.arange(n)] = self.symbols
        symbols[torch.arange(self.length)[:, None] >= lengths] = -1
        return Batch(one_hot(symbols, self.symbols), targets, lengths - 1)

    def alignment(self, batch: Batch) -> Tensor:
        whole = torch.full((len(batch),), self.length)
        return self._sources(whole if batch.ends is None else batch.ends + 1)

    def _sources(self, lengths: Tensor) -> Tensor:
        """(S,B): the place in strings of these lengths (B) that each symbol is copied from, or -1."""
        steps = torch.arange(self.answer_steps)[:, None]
        match self.kind:
            case "copy":
                places = steps.expand(-1, len(lengths))
            case "reversal":
                places = lengths - 1 - steps
            case _:
                places = (steps ^ 1).expand(-1, len(lengths))
        return places.where(steps < lengths, -1)
