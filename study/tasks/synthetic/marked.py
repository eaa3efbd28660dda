"""Sequences of numbers in which two are marked: what adding and multiplication have in common."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor

from study.tasks.base import Batch, between

Version = Literal["urnn", "irnn", "pascanu", "hochreiter"]
# Below these lengths a version has no place for its two markers.
SHORTEST: dict[Version, int] = {"urnn": 2, "irnn": 2, "pascanu": 10, "hochreiter": 6}


@dataclass(frozen=True)
class Marked:
    """Inputs (T,B,2), value and marker, the two marked values (B,), each one's last step or None."""

    inputs: Tensor
    first: Tensor
    second: Tensor
    ends: Tensor | None

    def asking(self, answer: Tensor) -> Batch:
        """The batch whose target (B,) is asked for after the last step."""
        return Batch(self.inputs, answer[None, :, None], self.ends)


def longest(version: Version, length: int) -> int:
    """T of the longest sequence."""
    if version in ("urnn", "irnn"):
        return length
    # Pascanu's code draws below length + length/10, the 1997 paper up to it.
    return length + length // 10 - (version == "pascanu")


def lags(version: Version, length: int) -> tuple[int, int]:
    """Fewest and most steps from the earlier marked value that counts to the last step."""
    last = longest(version, length) - 1
    match version:
        case "urnn":
            return length - length // 2, last
        case "irnn":
            return 1, last
        case "pascanu":
            return length - length // 10, last
        case "hochreiter":
            # One at the first step is ignored: then X2 is all there is, in the first half.
            return length - length // 2, last - 1


def draw(
    version: Version, length: int, low: float, ignored: float, generator: Generator, n: int
) -> Marked:
    """``n`` sequences of values from U[low,1].

    urnn: a marker in each half. irnn: at two different places. pascanu: in the first tenth and from
    there up to a half of sequences of L to 1.1 L steps (exclusive). hochreiter: the first and last
    marker are -1, X1 is one of the first ten, X2 one of the first T/2-1 of the rest, in T to 1.1 T
    steps; a value marked at the first step, whose marker stays -1, counts as ``ignored``.
    """
    steps, each = longest(version, length), torch.arange(n)
    values = torch.rand(steps, n, generator=generator)
    if low:
        values = low + (1 - low) * values
    ends = None
    if version == "urnn":
        half = length // 2
        first = torch.randint(0, half, (n,), generator=generator)
        second = torch.randint(half, length, (n,), generator=generator)
    elif version == "irnn":
        first = between(0, length - 1, (n,), generator)
        second = _other_than(first, between(0, length - 2, (n,), generator))
    else:
        ends = between(length, steps, (n,), generator) - 1
        if version == "pascanu":
            tenth, most = (ends + 1) // 10, (ends + 1) * 4 // 10
            first = _below(tenth, generator)
            second = tenth + _below(most, generator)
        else:
            early, half = earliest_places(length)
            first = between(0, early - 1, (n,), generator)
            second = _other_than(first, between(0, half - 1, (n,), generator))
    markers = torch.zeros(steps, n)
    markers[first, each] = 1
    markers[second, each] = 1
    one, two = values[first, each], values[second, each]
    if ends is not None:
        after = torch.arange(steps)[:, None] > ends
        values[after] = 0
        if version == "hochreiter":
            markers[0] = -1
            markers[ends, each] = -1
            one = one.where(first > 0, torch.tensor(ignored))
            two = two.where(second > 0, torch.tensor(ignored))
    return Marked(torch.stack([values, markers], dim=-1), one, two, ends)


def first_marked(batch: Batch) -> Tensor:
    """(1,B,1): the value at the first marker of 1; of hochreiter X2, where X1 is ignored."""
    markers = (batch.inputs[..., 1] == 1).int()
    return batch.inputs[markers.argmax(0), torch.arange(len(batch)), 0][None, :, None]


def earliest_places(length: int) -> tuple[int, int]:
    """Of hochreiter: how many places X1 can take, and X2 given X1."""
    half = length // 2 - 1
    return min(10, half), half


def first_ignored(length: int) -> tuple[float, float]:
    """Of hochreiter: the probability that X1 is ignored, and that X2 is when X1 is not."""
    early, half = earliest_places(length)
    return 1 / early, 1 / half


def _other_than(taken: Tensor, among_rest: Tensor) -> Tensor:
    return among_rest + (among_rest >= taken)


def _below(bounds: Tensor, generator: Generator) -> Tensor:
    """Whole numbers from 0 to below each bound."""
    return (torch.rand(bounds.shape, generator=generator, dtype=torch.float64) * bounds).long()
