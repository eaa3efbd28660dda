"""Powers of two that keep a gradient within floating point while it is followed back in time."""

import math
from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Generator, Tensor

from study.credit.full import Full

# Exponents of two, in float64, whose smallest normal number is 2^-1022. Above 2^VANISHING the largest
# entry of a gradient leaves room for its smaller ones, for the factors they are made of, and for another
# sequence's, whose loss came later in time; above 2^SEEN it is known how far it has fallen. Where it is
# beyond 2^±APART it is brought to about 1.
VANISHING = -400
SEEN = -1000
APART = 200


class Rescaled(Full):
    """What step t hands back to the states before it is multiplied by 2^exponents[t], exactly.

    What a recorder holds at time t is then the gradient times 2 to the sum of the exponents after t, for
    a loss at the last step; see `scale_after`.
    """

    exponents: tuple[int, ...] = Field(default=())

    def carry(self, steps: int, generator: Generator | None = None) -> Tensor | None:
        if not any(self.exponents):
            return None
        return torch.tensor(self.exponents, dtype=torch.float64).exp2()

    def scale_after(self, ends: Tensor) -> Tensor:
        """(T,B): the binary logarithm of what the gradient at t is multiplied by, of the loss at ``ends``."""
        since = torch.tensor(self.exponents, dtype=torch.float64).flip(0).cumsum(0).flip(0)
        after = torch.cat([since[1:], since.new_zeros(1)])  # exponents of t + 1, t + 2, …
        return after[:, None] - after[ends]


def further(exponents: Sequence[int], sizes: Tensor) -> tuple[int, ...]:
    """Exponents that lead further back, given the largest entry (T,) at each time with these ones.

    The same ones where nothing vanished, or where it vanished from one step to the next: by itself, that
    is, and not by rounding.
    """
    levels = sizes.log2().tolist()
    reached = next((t for t in reversed(range(len(levels))) if levels[t] > VANISHING), None)
    if reached is None or all(VANISHING < level < math.inf for level in levels[: reached + 1]):
        return tuple(exponents)
    found, added = list(exponents), 0
    for t in range(reached, -1, -1):
        if not SEEN < levels[t] < math.inf:
            break
        handed = round(levels[t]) + added + found[t]
        if abs(handed) > APART:
            found[t] -= handed
            added -= handed
    return tuple(found)
