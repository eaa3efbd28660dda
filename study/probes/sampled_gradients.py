"""Gradients of parts of a batch, and how far they lie apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor, nn

from study.networks.model import Model
from study.probes.trajectory import in_order
from study.tasks.base import Batch, Task


def parts(batch: Batch, count: int, generator: Generator) -> list[Batch]:
    """The batch in up to ``count`` parts of as many sequences; a rest that is fewer is left out.

    Who is in which part is drawn, from an order that is the same whatever the order of the batch.
    """
    size = max(1, len(batch) // count)
    rows = torch.randperm(len(batch), generator=generator)
    whole = in_order(batch).take(rows[: size * min(count, len(batch))])
    return [whole.take(slice(i, i + size)) for i in range(0, len(whole), size)]


def gradient(
    model: Model, task: Task, batch: Batch, parameters: Sequence[nn.Parameter], **credit: Any
) -> Tensor:
    """(n,), the training loss's, of the parameters one after another; 0 of one that it does not reach.

    ``credit`` as in `Model.forward`.
    """
    loss = task.loss(model(batch, **credit), batch.targets)
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    each = zip(found, parameters, strict=True)
    return torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for g, p in each])


@dataclass(frozen=True, eq=False)
class Sample:
    """Gradients (M,n) that were drawn alike: of parts of a batch, or by a rule that draws."""

    gradients: Tensor

    @property
    def mean(self) -> Tensor:
        """(n,)"""
        return self.gradients.mean(dim=0)

    @property
    def variance(self) -> float:
        """tr Cov of one of them: Σ_i ‖g_i - ḡ‖² / (M - 1), unbiased; M is at least 2."""
        apart = (self.gradients - self.mean).square().sum()
        return float(apart) / (len(self.gradients) - 1)

    @property
    def squared_norm(self) -> float:
        """‖E g‖², estimated without bias: ‖ḡ‖² - tr Cov / M, which may be below 0."""
        return float(self.mean.square().sum()) - self.variance / len(self.gradients)
