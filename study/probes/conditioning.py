"""How an untrained network's steps stretch and shrink its state: the leading exponent, the condition."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from study.networks.model import Model
from study.probes.base import PROBES
from study.probes.graded import EPS, RESOLVED
from study.probes.jacobians import Spectrum
from study.probes.lyapunov import endless
from study.probes.trajectory import Trajectory, in_order, reading
from study.tasks.base import Batch, Task

SEQUENCES = 8
STEPS = 64
TRANSIENT = 32
MATRICES = 8  # of single steps, whose singular values are taken
BUNDLE = 4  # steps between which a vector's length is not brought to 1
LARGEST = 256  # numbers of a state, beyond which they are not


@dataclass(frozen=True)
class Conditioning:
    """``largest_exponent`` λ_1, nats a step, over ``sequences`` streams of ``steps`` steps; ``step`` as in
    `Jacobians`, of ∂s_{t+1}/∂s_t of the whole state of ``size`` = N numbers at ``times``, each of another
    sequence in turn.

    λ_1 is None where every direction is lost. ``step`` is None where N is beyond LARGEST. Its values are
    from one decomposition in float64, so that those are None that are below about 1e-12 of the largest:
    the Jacobian is singular there, or as good as that.
    """

    size: int
    sequences: int
    steps: int
    times: list[int]
    largest_exponent: float | None
    step: Spectrum | None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> "Conditioning":
        step = given["step"]
        return cls(**{**given, "step": None if step is None else Spectrum(**step)})

    def summary(self) -> dict[str, float]:
        """Natural logarithms: ``largest_exponent``; ``step_log_largest`` ln σ_1; ``step_log_condition``
        ln(σ_1/σ_N), 0 for a multiple of an isometry; ``step_log_rms``, the root of the mean square of all
        ln σ_i, 0 in dynamical isometry alone. ``step_lost`` is the share of the σ_i that are zero or not
        resolved in some step; where it is not 0 the condition and the mean square are absent."""
        found = {"largest_exponent": self.largest_exponent}
        if self.step is not None:
            found["step_log_largest"] = self.step.mean[0]
            found["step_log_condition"] = self.step.log_condition
            found["step_log_rms"] = self.step.log_rms
            found["step_lost"] = self.step.mean.count(None) / len(self.step.mean)
        return {name: value for name, value in found.items() if value is not None}


@PROBES.register(Conditioning, at=("init",))
@torch.no_grad()
def conditioning(
    model: Model,
    task: Task,
    batch: Batch,
    *,
    sequences: int = SEQUENCES,
    steps: int = STEPS,
    transient: int = TRANSIENT,
    matrices: int = MATRICES,
    generator: Generator | None = None,
) -> Conditioning | None:
    """What the probes `lyapunov` and `jacobians` measure at length, on few sequences and steps, so that
    every trial has it. None when a state or a Jacobian is not finite.

    λ_1 is the mean growth of one vector, drawn, that the Jacobians take along; the singular values are
    of the steps in `visited_times`. Saxe, McClelland &
    Ganguli (2014) and Pennington, Schoenholz & Ganguli (2017) on the condition, Engelken, Wolf & Abbott
    (2023) on the exponent, of which both say that they decide how well a network can be trained.
    """
    generator = Generator().manual_seed(0) if generator is None else generator
    some = in_order(batch).take(slice(sequences))
    read = reading(model, task, some)
    # One stream for each sequence, which begins as that sequence does.
    path = read.over(endless(read, len(some), transient + steps), read.start)
    growth = _growth(path, transient, generator) / steps
    if not path.is_finite or not (growth < math.inf).all():
        return None
    largest = float(growth.mean())
    step, times = None, visited_times(min(int(read.lengths.min()), len(path)), matrices)
    if path.size <= LARGEST:
        step = _spectrum(path.one_each(times, torch.arange(matrices) % len(some)))
        if step is None:
            return None
    return Conditioning(
        size=path.size,
        sequences=len(some),
        steps=steps,
        times=times.tolist(),
        largest_exponent=largest if math.isfinite(largest) else None,
        step=step,
    )


def _growth(path: Trajectory, transient: int, generator: Generator) -> Tensor:
    """(B,) natural logarithms of what a vector that is drawn grows by after the first ``transient`` steps;
    -inf where it is mapped to zero, NaN or inf where a number is not finite."""
    shape = path.x.shape[1], path.size
    drawn = torch.randn(shape, generator=generator, dtype=torch.float64)
    vectors = path.by_state(drawn / drawn.norm(dim=1, keepdim=True))
    growth = torch.zeros(shape[0], dtype=torch.float64)
    for t, step in enumerate(path.steps(), start=1):
        vectors = step.linearization.jvp(vectors)
        if t % BUNDLE == 0 or t in (transient, len(path)):
            whole = torch.cat([vectors[name] for name in path.states], dim=1)
            lengths = whole.norm(dim=1)
            growth = growth + lengths.log() if t > transient else growth
            vectors = path.by_state(whole / torch.where(lengths > 0, lengths, 1)[:, None])
    return growth


def visited_times(length: int, count: int) -> Tensor:
    """(count,), one in the middle of each part of equal length of a sequence's steps from the second on:
    at the first the state is zero, where an LSTM without input is singular and never again."""
    first = min(1, length - 1)
    parts = (torch.arange(count) + 0.5) * (length - first) / count
    return first + parts.long()


def _spectrum(path: Trajectory) -> Spectrum | None:
    matrices = path.matrices()[0]
    if not matrices.isfinite().all():
        return None
    values = torch.linalg.svdvals(matrices)
    noise = 4 * EPS * path.size * values[:, :1]
    return Spectrum.of(values.log(), (noise <= RESOLVED * values) & (values > 0))
