"""The gradient of every state against the lag, with its spread over sequences, and what it amounts to."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from study.networks.model import Model
from study.probes.base import PROBES
from study.probes.gradient_flow import followed
from study.probes.once import Once
from study.tasks.base import Batch, Task

# Conventions. A part of a gradient that is a thousandth of another does not show in an update, whose
# noise is larger than that; in float32 a millionth is near the rounding error of the sum, 1.2e-7.
VANISHING = 1e-3  # of the norm at the task's lag over that at lag 0, and below
EXPLODING = 1e3  # and above
LOST = 1e-6  # of the norm at a lag over that at lag 0

MOST_LAGS = 64  # that are kept, evenly chosen
_DIGITS = 4  # of a logarithm, in files

Verdict = Literal["vanishing", "kept", "exploding"]
_SIGNS: Mapping[Verdict, int] = {"vanishing": -1, "kept": 0, "exploding": 1}


@dataclass(frozen=True)
class Curve:
    """log₁₀‖∂L/∂s_t‖ at the lags that are kept; None where it is the logarithm of 0.

    ``mean`` is that of the mean over sequences; ``low`` and ``high`` are the quartiles over sequences.
    """

    mean: list[float | None]
    low: list[float | None]
    high: list[float | None]


@dataclass(frozen=True)
class LaggedGradients:
    """How the gradient of the last step's loss spreads over sequences and over lags.

    ``states[s]`` is ‖∂L/∂s_t‖ at ``lags``, the total derivative: of an LSTM's c with what reaches the loss
    through h of the same step. ``whole`` is that of all states as one vector: an LSTM's gradient may live
    in c and not in h. Over all lags, of the means of ``whole``: ``lost_share``, the share of the
    lags above 0 at which it is below 10⁻⁶ of that at lag 0; ``log10_ratio_at_lag`` = log₁₀ of that at
    ``lag``, over that at lag 0; ``verdict``, "vanishing" where that ratio is 10⁻³ or less, "exploding"
    where it is 10³ or more, else "kept". ``lag`` is the task's longest, or that of the longest sequence.

    The ratio is None where the gradient is 0 there, which is vanishing; both are None, and the share,
    where it is 0 at lag 0.
    """

    lags: list[int]
    states: dict[str, Curve]
    whole: Curve
    lag: int
    lost_share: float | None
    log10_ratio_at_lag: float | None
    verdict: Verdict | None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> "LaggedGradients":
        states = {name: Curve(**curve) for name, curve in given["states"].items()}
        return cls(**{**given, "states": states, "whole": Curve(**given["whole"])})

    def summary(self) -> dict[str, float]:
        """``verdict`` is -1 for vanishing, 0 for kept, 1 for exploding."""
        found = {
            "lost_share": self.lost_share,
            "log10_ratio_at_lag": self.log10_ratio_at_lag,
            "verdict": None if self.verdict is None else _SIGNS[self.verdict],
        }
        return {name: float(value) for name, value in found.items() if value is not None}


@PROBES.register(LaggedGradients, at=("init", "training", "final"))
def state_gradients(
    model: Model, task: Task, batch: Batch, once: Once | None = None
) -> LaggedGradients | None:
    """Hochreiter (1991), Bengio, Simard & Frasconi (1994). None when a gradient is not finite.

    Followed back as in `gradient_flow`, in float64 and beyond its range.
    """
    found = (once or Once())(followed, model, task, batch)
    if found is None:
        return None
    whole = torch.stack(list(found.logs.values())).mul(2).logsumexp(dim=0) / 2
    means = found.means(whole)
    lags = evenly(len(means))
    lag = min(task.lag[1], len(means) - 1)
    lost, ratio, verdict = _judged(means, lag)
    return LaggedGradients(
        lags=lags,
        states={s: _curve(found.means(v), v, found.there, lags) for s, v in found.logs.items()},
        whole=_curve(means, whole, found.there, lags),
        lag=lag,
        lost_share=lost,
        log10_ratio_at_lag=ratio,
        verdict=verdict,
    )


def _judged(means: np.ndarray, lag: int) -> tuple[float | None, float | None, Verdict | None]:
    """Share of lost lags, log₁₀ of the ratio, verdict; of natural logarithms at each lag (L,)."""
    if means[0] == -math.inf:
        return None, None, None
    relative = means - means[0]
    lost = float((relative[1:] < math.log(LOST)).mean()) if len(means) > 1 else 0.0
    ratio = float(relative[lag])
    if ratio == -math.inf:
        return lost, None, "vanishing"
    verdict: Verdict = "kept"
    if ratio <= math.log(VANISHING):
        verdict = "vanishing"
    elif ratio >= math.log(EXPLODING):
        verdict = "exploding"
    return lost, ratio / math.log(10), verdict


def evenly(count: int) -> list[int]:
    """At most MOST_LAGS of 0 … count-1, the first and the last among them."""
    if count <= MOST_LAGS:
        return list(range(count))
    return [round(i * (count - 1) / (MOST_LAGS - 1)) for i in range(MOST_LAGS)]


def _curve(means: np.ndarray, logs: Tensor, there: Tensor, lags: list[int]) -> Curve:
    """Of natural logarithms: the means' (L,), and each sequence's (L,B)."""
    known = there[lags]
    # Sequences that are shorter come last; a quartile is the value of a sequence.
    values = logs[lags].masked_fill(~known, math.inf).sort(dim=1).values
    last = known.sum(dim=1, keepdim=True) - 1
    low = values.gather(1, last // 4).squeeze(1).numpy()
    high = values.gather(1, last - last // 4).squeeze(1).numpy()
    return Curve(_kept(means[lags]), _kept(low), _kept(high))


def _kept(logs: np.ndarray) -> list[float | None]:
    common = np.round(logs / math.log(10), _DIGITS).tolist()
    return [None if value == -math.inf else value for value in common]
