"""Which sequences are kept for which part, where there are so few that the parts' streams would meet."""

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal

import torch
from torch import Generator, Tensor

Part = Literal["training", "validation", "confirmation", "test"]
HeldOut = Literal["validation", "confirmation", "test"]
# A tenth for each of the held-out parts, the rest for training.
TENTHS: dict[HeldOut, int] = {"validation": 0, "confirmation": 1, "test": 2}
# Of fewer sequences a tenth may be none: all are learned by heart, and are in all parts.
FEWEST = 100
# Of more, ten million training sequences hold less than a hundredth of the held-out ones.
MOST = 1e9
LARGEST_WEIGHT = 1 << 31
MULTIPLIER = -7046029254386353131  # 2^64 over the golden ratio, as a signed number


def belongs(content: Tensor, part: Part) -> Tensor:
    """(B,): which sequences of whole numbers (T,B,D) are kept for that part.

    A hash of the whole sequence decides, so that a part's share of sequences of a kind, such as a
    length, is the same for all kinds but for chance. Sums of whole numbers below 2^53 are exact in
    whatever order, so that all machines agree.
    """
    steps, _, width = content.shape
    total = torch.einsum("tbd,td->b", content.double(), _weights(steps, width))
    tenth = ((total.long() * MULTIPLIER) >> 33) % 10
    if part == "training":
        return tenth >= len(TENTHS)
    return tenth == TENTHS[part]


@lru_cache(maxsize=8)
def _weights(steps: int, width: int) -> Tensor:
    draws = Generator().manual_seed(0)
    size = (steps, width)
    return torch.randint(1, LARGEST_WEIGHT, size, generator=draws).double()


def variety(counts: Iterable[float]) -> float:
    """1/Σp² over sequences of kinds that are equally likely, such as lengths, with so many of each.

    That is how many there are when all are equally likely; two drawn are the same once in so many.
    """
    kinds = [count for count in counts if count]
    total = sum(1 / count for count in kinds)
    return len(kinds) ** 2 / total if total else math.inf


def power(base: int, exponent: int) -> float:
    """``inf`` where it is no longer a float."""
    return math.inf if exponent * math.log(base) > 700 else float(base) ** exponent
