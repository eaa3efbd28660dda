"""What a gradient that is cut short or randomized has to do with the full one, on the same sequences."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Generator, Tensor, nn

from study.credit import Credit
from study.credit.randomly_truncated import RandomlyTruncated
from study.credit.truncated import Truncated
from study.networks.model import Model
from study.probes.base import PROBES
from study.probes.sampled_gradients import Sample, gradient, parts
from study.tasks.base import Batch, Task

PARTS = 8
DRAWS = 16
SHARES = (8, 4, 2)  # of T: expected steps between two random cuts
ALIKE = 0.9  # of a cosine


@dataclass(frozen=True)
class Estimate:
    """A rule's gradient ĝ beside the full one, g, as vectors of all recurrent layers' weights.

    ``steps`` is the window, or the expected number of steps between two cuts. ``cosine`` is that of ĝ and
    g, of a rule that draws the mean over draws; 0 where ĝ is zero. ``relative_bias`` = ‖E ĝ - g‖/‖g‖ on
    these sequences, E over draws: over a few, so that it is about ``bias_error`` or more of a rule without
    bias. ``draw_variance`` = tr Cov ĝ/‖g‖² over draws. Both are None of a rule that draws nothing.
    ``batch_variance`` is the same over batches of `CreditAssignment.batch` sequences, each with a draw of
    its own; None where there is one batch.
    """

    steps: int
    cosine: float
    relative_bias: float
    bias_error: float | None
    draw_variance: float | None
    batch_variance: float | None


@dataclass(frozen=True)
class CreditAssignment:
    """Of truncation to 1, 2, 4, … and all T steps, which is the full gradient, and of randomized truncation.

    ``truncated`` is the rule as training has it, ``aligned`` the same with cuts counted from the last step
    backward, so that a loss there is followed back through the whole window.
    Measured on ``sequences`` ones, in batches of ``batch``.
    """

    sequences: int
    batch: int
    truncated: list[Estimate]
    aligned: list[Estimate]
    randomized: list[Estimate]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> "CreditAssignment":
        lists = ("truncated", "aligned", "randomized")
        several = {name: [Estimate(**e) for e in given[name]] for name in lists}
        return cls(**{**given, **several})

    @property
    def window_cosine_90(self) -> int:
        """The shortest window that was measured whose cosine is at least 0.9, of the aligned ones.

        Of those that training has, the shortest one may be so by where its last cut happens to be.
        """
        return next(e.steps for e in self.aligned if e.cosine >= ALIKE)

    def summary(self) -> dict[str, float]:
        """``window_cosine_90``; cosines as "truncated_8/cosine", "aligned_8/cosine" and "artbp_25/cosine",
        the variance over draws as "artbp_25/draw_variance"."""
        found = {"window_cosine_90": float(self.window_cosine_90)}
        for name, several in (("truncated", self.truncated), ("aligned", self.aligned)):
            found |= {f"{name}_{e.steps}/cosine": e.cosine for e in several}
        for e in self.randomized:
            found[f"artbp_{e.steps}/cosine"] = e.cosine
            if e.draw_variance is not None:
                found[f"artbp_{e.steps}/draw_variance"] = e.draw_variance
        return found


@PROBES.register(CreditAssignment, at=("init", "best"), dear=True)
def credit_assignment(
    model: Model, task: Task, batch: Batch, generator: Generator, draws: int = DRAWS
) -> CreditAssignment | None:
    """The training loss's gradient in float64 by every trained parameter of the recurrent layers.

    The rules are `study.credit`'s: truncation (Williams & Peng, 1990) and ARTBP with bounded weights
    (Tallec & Ollivier, 2017), with T/8, T/4 and T/2 expected steps between cuts. Real-time recurrent
    learning is exact and has nothing to measure. Cuts are at fixed steps K, 2K, …: a loss at the last step
    is followed back through 1 to K steps, so that a longer window can be worse than a shorter one. Of 100
    steps those of 4, 8, 16 and 32 all leave 4. Hence the aligned ones. They end with the longest sequence.
    T is that of the longest pass, reading or writing. A rest of fewer sequences than a batch has is left out.

    None when the full gradient is zero, or something is not finite.
    """
    double = deepcopy(model).double()
    some = parts(batch.to(torch.float64), PARTS, generator)
    trained = [p for layer in double.layers for p in layer.parameters() if p.requires_grad]
    if not trained:
        return None
    setting = _Setting(double, task, some, trained, generator)
    full = setting.by_batch("full")
    size = float(full.mean.norm())
    if not 0 < size < float("inf"):
        return None
    steps = max(len(batch.inputs), len(batch.targets))
    fixed = [setting.estimate(Truncated(window=w), w, full) for w in windows(steps)]
    aligned = [setting.estimate(Aligned(window=w), w, full) for w in windows(steps)]
    random = [
        setting.estimate(RandomlyTruncated(length=length), length, full, draws)
        for length in _lengths(steps)
    ]
    found = [*fixed, *aligned, *random]
    values = [v for e in found for v in asdict(e).values() if v is not None]
    if not torch.tensor(values, dtype=torch.float64).isfinite().all():
        return None
    return CreditAssignment(sum(map(len, some)), len(some[0]), fixed, aligned, random)


class Aligned(Truncated):
    """Cut before steps T - K, T - 2K, …: a loss at the last one reaches back K steps, or T."""

    def carry(self, steps: int, generator: Generator | None = None) -> Tensor | None:
        back = steps - torch.arange(steps)
        cut = (back % self.window == 0) & (back < steps)
        return 1 - cut.double()


def windows(steps: int) -> list[int]:
    """1, 2, 4, … below T, and T."""
    return [2**k for k in range(steps.bit_length()) if 2**k < steps] + [steps]


def _lengths(steps: int) -> list[int]:
    return sorted({max(2, round(steps / share)) for share in SHARES}) if steps > 1 else []


@dataclass(frozen=True, eq=False)
class _Setting:
    """What gradients are taken of."""

    model: Model
    task: Task
    parts: Sequence[Batch]
    parameters: Sequence[nn.Parameter]
    generator: Generator

    def estimate(self, rule: Credit, steps: int, full: Sample, draws: int = 0) -> Estimate:
        """``draws`` of a rule that draws, at least two; ``full`` as `by_batch` gives it."""
        wanted, batches = full.mean, self.by_batch(rule)
        square = float(wanted.square().sum())
        drawn = self._over_draws(rule, draws) if draws else None
        mean = batches.mean if drawn is None else drawn.mean
        each = mean[None] if drawn is None else drawn.gradients
        variance = None if drawn is None else drawn.variance / square
        return Estimate(
            steps=steps,
            cosine=float(torch.cosine_similarity(each, wanted[None], eps=0).nan_to_num(0).mean()),
            relative_bias=float((mean - wanted).norm() / wanted.norm()),
            bias_error=None if variance is None else (variance / draws) ** 0.5,
            draw_variance=variance,
            batch_variance=batches.variance / square if len(self.parts) > 1 else None,
        )

    def by_batch(self, rule: Credit | str) -> Sample:
        """Their mean is the gradient of all sequences, where the rule draws nothing."""
        return Sample(torch.stack([self._gradient(part, rule) for part in self.parts]))

    def _over_draws(self, rule: Credit, draws: int) -> Sample:
        whole = Batch.joined(self.parts)
        return Sample(torch.stack([self._gradient(whole, rule) for _ in range(draws)]))

    def _gradient(self, batch: Batch, rule: Credit | str) -> Tensor:
        how = {"credit": rule, "generator": self.generator}
        return gradient(self.model, self.task, batch, self.parameters, **how)
