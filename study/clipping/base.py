"""What clipping is: a rule, the clipper that one training run gets from it, and its evidence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor

from study.base.registry import Choice, Choices


@dataclass(frozen=True)
class Clipped:
    """Evidence of one step, all gradients taken as one vector.

    ``norm_before`` and ``norm_after`` are L2 norms; ``cosine`` is that of the angle between the two
    gradients, None where there is none: a norm of 0, infinite or NaN, or a rule that never sees the
    gradient before. ``acted`` says whether the rule changed the gradient, ``skipped`` that the step
    is not to be made at all.
    """

    norm_before: float
    norm_after: float
    cosine: float | None
    acted: bool
    skipped: bool = False

    @classmethod
    def unchanged(cls, norm: float, *, skipped: bool = False) -> "Clipped":
        return cls(norm, norm, 1.0 if 0 < norm < float("inf") else None, False, skipped)

    @classmethod
    def shrunk(cls, before: float, after: float) -> "Clipped":
        """The whole gradient was multiplied by one positive number, or by 0."""
        return cls(before, after, 1.0 if after > 0 else None, acted=True)


Clipper = Callable[[Sequence[Tensor], Sequence[Tensor]], Clipped]
"""Changes gradients (first argument) of parameters (second argument) in place."""


class Clipping(Choice):
    """A rule. ``clipper = rule.start()``, then ``clipper(gradients, parameters)`` at every step.

    A rule with a memory overrides `start`, so that each training run has a memory of its own; any
    other overrides `clip`. A gradient that is not finite stays so, for the caller to see.
    """

    @property
    def signal_limit(self) -> float | None:
        """The bound on what the backward pass hands from step to step; None for no bound."""
        return None

    def start(self) -> Clipper:
        return self.clip

    def clip(self, gradients: Sequence[Tensor], parameters: Sequence[Tensor]) -> Clipped:
        raise NotImplementedError


CLIPPING: Choices[Clipping] = Choices("clipping")


def norms_of(gradients: Sequence[Tensor]) -> Tensor:
    """The L2 norm of each gradient, in float64.

    In float32 the squares of an exploding but finite gradient, from about 1e19, would be infinite.
    """
    return torch.stack(torch._foreach_norm(list(gradients), 2, dtype=torch.float64))


def global_norm(gradients: Sequence[Tensor]) -> Tensor:
    """√Σ g² over all entries of all gradients, a float64 scalar."""
    return torch.linalg.vector_norm(norms_of(gradients))


def shrink_to(threshold: float, norm: float, gradients: Sequence[Tensor]) -> Clipped:
    """g ← θ g/‖g‖ where the global norm ‖g‖ exceeds the threshold θ."""
    # An infinite or NaN norm is left alone: scaling by it would hide that the step diverged.
    if not threshold < norm < float("inf"):
        return Clipped.unchanged(norm)
    torch._foreach_mul_(list(gradients), threshold / norm)
    return Clipped.shrunk(norm, threshold)


def evidence_of_scales(norms: Tensor, scales: Tensor) -> Clipped:
    """Of parts with these norms, each multiplied by its scale in [0, 1]; at least one is below 1."""
    before = float(torch.linalg.vector_norm(norms))
    assert isfinite(before)
    shares = norms / before  # squares of the norms themselves might overflow
    after = float(torch.linalg.vector_norm(shares * scales))
    cosine = min(float((scales * shares.square()).sum()) / after, 1.0) if after > 0 else None
    return Clipped(before, before * after, cosine, acted=True)
