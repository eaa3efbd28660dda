"""The embedded Reber grammar."""

from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Generator, Tensor

from study.base.seeding import generator
from study.tasks import TASKS
from study.tasks.base import (
    NO_TARGET,
    Batch,
    DatasetTask,
    cross_entropy_where_asked,
    mean_of_sequences,
    one_hot,
    step_chance,
)
from study.tasks.synthetic.reber_grammar import (
    CHOICES,
    OVER,
    SYMBOLS,
    NextSymbol,
    nodes_before,
    walk,
)

STRINGS = 256  # in each of the three sets, and in each further one that confirms
CONFIRMATIONS = 4  # sets
LONGEST = 64  # symbols; longer strings come once in 100,000 and are not drawn


@TASKS.register
class EmbeddedReber(NextSymbol, DatasetTask):
    """Read a string of a grammar and predict every next symbol; the last but one is the second.

    B, then T or P, a string of the Reber grammar, the same T or P, E; where two symbols may follow,
    each does with probability 1/2. One-hot over BTSXPVE; cross-entropy, each string's mean. Hochreiter &
    Schmidhuber (1997), experiment 1, after Fahlman (1991): 256 training strings and 256 test
    strings. Here the three sets, one is of validation, have 256 each of the first 768 different strings
    that the grammar makes, dealt out at random: no string is in two sets, and all have the same
    distribution of lengths. So short strings, which the grammar makes most often, are as rare as their
    number. ``strings`` numbers the paper's several draws.

    Chance: the best prediction that knows the step, from the frequencies in all three sets. The
    floor, with one or two legal successors, is the mean of ln 2 where there are two. ``legal`` is the
    share of strings throughout which the legal successors are the most active outputs; solved, as in
    the source, when that is all of them.
    """

    title: ClassVar[str] = "Embedded Reber grammar"
    source: ClassVar[str] = "Hochreiter & Schmidhuber (1997), exp. 1; Fahlman (1991)"

    name: Literal["reber"] = "reber"
    strings: int = Field(default=1, ge=1, le=1_000, description="which draw of the three sets")

    @property
    def steps(self) -> int:
        return len(_draw(self.strings)) - 1

    @property
    def lag(self) -> tuple[int, int]:
        # From the second symbol to the step before the last but one: a string of n symbols has n-4.
        lengths = (_draw(self.strings) != NO_TARGET).sum(0)
        return int(lengths.min()) - 4, int(lengths.max()) - 4

    @cached_property
    def levels(self) -> tuple[float, float]:
        """Chance and floor."""
        targets = _draw(self.strings)[1:]
        asked = targets != NO_TARGET
        weight = asked / asked.sum(0).double() / targets.shape[1]
        shares = (one_hot(targets, len(SYMBOLS)) * weight[..., None]).sum(1)
        floor = mean_of_sequences(CHOICES[nodes_before(targets)].double().log(), asked)
        return step_chance(shares), float(floor)

    @property
    def solved_rule(self) -> str:
        return "the legal successors are the most active outputs at every step of all strings"

    def solved(self, scores: Mapping[str, float]) -> bool:
        return scores["legal"] == 1

    def splits(self) -> Mapping[Literal["training", "validation", "test"], Batch]:
        whole = _batch(_draw(self.strings))
        return {
            "training": whole.take(slice(STRINGS)),
            "validation": whole.take(slice(STRINGS, 2 * STRINGS)),
            "test": whole.take(slice(2 * STRINGS, None)),
        }

    @property
    def ends_when_solved(self) -> bool:
        return True

    def confirmation(self, attempt: int) -> Iterator[Batch]:
        """Sets of 256 strings that the grammar makes and that are in none of the three: rarer and longer
        ones, a likely one more than once."""
        draws = generator("confirmation", attempt, self.strings)
        known = _numbers(_draw(self.strings))
        for _ in range(CONFIRMATIONS + attempt):
            found, missing = [], STRINGS
            while missing:
                some = _strings(draws, 10 * STRINGS)
                found.append(some[:, ~torch.isin(_numbers(some), known)][:, :missing])
                missing -= found[-1].shape[1]
            yield _batch(torch.cat(found, dim=1))

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy_where_asked(predictions, targets)


@lru_cache(maxsize=4)
def _draw(number: int) -> Tensor:
    """(longest, 3·256) different symbols, NO_TARGET after a string's end: training, validation, test."""
    draws = Generator().manual_seed(number)
    different = dict.fromkeys(map(tuple, _strings(draws, 40 * STRINGS).T.tolist()))  # as drawn
    found = torch.tensor(list(different)[: 3 * STRINGS])
    assert len(found) == 3 * STRINGS
    # The first found are the likelier and shorter ones: dealt at random, no set gets more of them.
    found = found[torch.randperm(len(found), generator=draws)].T
    return found[: int((found != NO_TARGET).any(1).sum())]


def _strings(draws: Generator, n: int) -> Tensor:
    """(LONGEST, up to n) symbols of those that end in time, NO_TARGET after the end."""
    symbols, nodes = walk(LONGEST, draws, n)
    ends = (nodes == OVER).int().argmax(0)
    complete = (nodes == OVER).any(0)
    symbols[torch.arange(LONGEST)[:, None] > ends] = NO_TARGET
    return symbols[:, complete]


def _numbers(strings: Tensor) -> Tensor:
    """(L,B) -> (B,): of two different strings different ones, but for a chance of about 2^-64."""
    told = torch.where(strings == NO_TARGET, 0, strings + 1)
    weights = torch.randint(2**62, (LONGEST,), generator=Generator().manual_seed(0))
    return (told * weights[: len(strings), None]).sum(0)


def _batch(strings: Tensor) -> Batch:
    """(L,B) symbols: each next one is asked for."""
    ends = (strings != NO_TARGET).sum(0) - 2
    shown = strings[:-1].where(torch.arange(len(strings) - 1)[:, None] <= ends, NO_TARGET)
    return Batch(one_hot(shown, len(SYMBOLS)), strings[1:], ends)
