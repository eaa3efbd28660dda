"""Lyapunov exponents of a network that its task's inputs drive."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from study.networks.model import Model
from study.probes.base import PROBES
from study.probes.graded import EPS
from study.probes.trajectory import Reading, Trajectory, in_order, reading
from study.tasks.base import Batch, Task

EXPONENTS = 8
STREAMS = 4
STEPS = 1000
POINTS = 20  # of the running estimate


@dataclass(frozen=True)
class Lyapunov:
    """λ_1 ≥ λ_2 ≥ …, nats a step: the leading ``exponents`` of ``size`` = N.

    Averages over ``steps`` steps after ``transient`` ones, and over ``streams`` streams of inputs.
    ``standard_errors`` are those of the streams' mean, of a single stream those of the mean over
    its eighths. ``running`` holds, for each exponent, what the estimate was after each number of steps in
    ``running_steps``. An exponent is None where a direction is lost altogether, so that it is -∞ (a step
    maps it to zero, as a unit that nothing reads), or where a step shrinks it by more than float64
    resolves beside others.
    """

    exponents: list[float | None]
    standard_errors: list[float | None]
    running_steps: list[int]
    running: list[list[float | None]]
    size: int
    streams: int
    steps: int
    transient: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> "Lyapunov":
        return cls(**given)

    @property
    def is_whole(self) -> bool:
        """Whether all N exponents are there, and numbers."""
        return len(self.exponents) == self.size and None not in self.exponents

    @property
    def dimension(self) -> float | None:
        """Kaplan & Yorke (1979): j + (λ_1 + … + λ_j)/|λ_{j+1}|, with the largest j for which that sum
        is not negative; 0 where λ_1 is below 0. None where too few exponents are there to tell."""
        total = 0.0
        for j, exponent in enumerate(self.exponents):
            if exponent is None:
                return None
            if total + exponent < 0:
                return j + total / -exponent
            total += exponent
        return float(self.size) if self.is_whole else None

    def summary(self) -> dict[str, float]:
        """``largest`` λ_1 and ``largest_error`` its standard error, ``timescale`` -1/λ_1 in steps where
        λ_1 < 0, ``positive`` how many exponents are above 0 by two errors, ``dimension``, and the
        ``sum`` of all, which is the mean of ln|det J|. What is None is absent."""
        values: dict[str, float] = {}
        largest, error = self.exponents[0], self.standard_errors[0]
        if largest is not None:
            values["largest"] = largest
            if largest < 0:
                values["timescale"] = -1 / largest
        if error is not None:
            values["largest_error"] = error
        pairs = zip(self.exponents, self.standard_errors, strict=True)
        values["positive"] = float(sum(e is not None and e > 2 * (s or 0) for e, s in pairs))
        if self.dimension is not None:
            values["dimension"] = self.dimension
        if self.is_whole:
            values["sum"] = math.fsum(e for e in self.exponents if e is not None)
        return values


@PROBES.register(Lyapunov, at=("init", "best"), dear=True)
@torch.no_grad()
def lyapunov(
    model: Model,
    task: Task,
    batch: Batch,
    *,
    exponents: int = EXPONENTS,
    streams: int = STREAMS,
    steps: int = STEPS,
    transient: int | None = None,
    generator: Generator | None = None,
) -> Lyapunov | None:
    """λ_i = lim 1/t Σ ln R_ii, with Q_{t+1} R = J_t Q_t a QR decomposition and Q_0 drawn.

    Benettin et al. (1980); for driven networks Engelken, Wolf & Abbott (2023) and Vogt et al. (2022).
    The exponent is a limit of long times, and a task's sequences are short: a stream is what the layer
    reads of the batch's sequences, end to end, its first state zero and carried on from one to the next;
    each stream begins with another sequence, and they are used again when there are no more. The first
    ``transient`` steps count neither for the state nor for Q, by default a fourth of the ``steps`` after
    them. Of a state with fewer numbers there are fewer exponents. Without a ``generator`` Q_0 is the same
    at every call.

    None when a state or a Jacobian is not finite. `study.probes.trajectory.reading` says of which
    layer; delayed values that a cell carries along belong to its state, and take part. A step costs K
    products J v and a QR decomposition of N × K numbers, for each stream: 8 exponents of an LSTM of 64
    units take .25 s on one core, 64 take 1.1 s.
    """
    transient = steps // 4 if transient is None else transient
    generator = Generator().manual_seed(0) if generator is None else generator
    read = reading(model, task, in_order(batch))
    path = read.over(endless(read, streams, transient + steps))
    growth = growths(path, exponents, generator)
    return None if growth is None else _averaged(growth[transient:], path.size, transient)


def growths(path: Trajectory, exponents: int, generator: Generator) -> Tensor | None:
    """ln R_ii (T,B,K) of every step and sequence, K ``exponents`` or as many as a state has numbers; None
    when a state or a Jacobian is not finite. -inf where a direction is lost."""
    if not path.is_finite:
        return None
    steps, streams = path.x.shape[:2]
    shape = streams, path.size, min(exponents, path.size)
    q = torch.linalg.qr(torch.randn(shape, generator=generator, dtype=torch.float64)).Q
    growth = torch.empty(steps, *shape[::2], dtype=torch.float64)
    for t, step in enumerate(path.steps()):
        columns = step.forward(q)
        if not columns.isfinite().all():
            return None
        q, r = torch.linalg.qr(columns)
        sizes = r.diagonal(dim1=1, dim2=2).abs()
        # J q is known to about eps ‖J‖: what is no larger is what rounding made of zero.
        noise = EPS * shape[1] * columns.norm(dim=1).amax(dim=1, keepdim=True)
        growth[t] = torch.where(sizes > noise, sizes.log(), -math.inf)
    return growth


def endless(read: Reading, streams: int, steps: int) -> Tensor:
    """What is read of the sequences, end to end, from another one on in each stream (T,streams,D)."""
    sequences = [read.x[:n, b] for b, n in enumerate(read.lengths.tolist())]
    joined = []
    for stream in range(streams):
        first = stream * len(sequences) // streams
        whole = torch.cat(sequences[first:] + sequences[:first])
        joined.append(whole.repeat(-(-steps // len(whole)), 1)[:steps])
    return torch.stack(joined, dim=1)


def _averaged(growth: Tensor, size: int, transient: int) -> Lyapunov:
    """``growth`` (T,B,K): ln R_ii of every step and stream."""
    steps, streams, _ = growth.shape
    means = growth.mean(dim=(0, 1))
    order = means.argsort(descending=True, stable=True)
    growth = growth[:, :, order]
    samples = growth.mean(dim=0)
    if streams == 1:
        samples = torch.stack([part.mean(dim=0)[0] for part in growth.tensor_split(8)])
    errors = samples.std(dim=0) / math.sqrt(len(samples))
    after = torch.linspace(1, steps, min(POINTS + 1, steps + 1))[1:].round().long().unique()
    running = growth.mean(dim=1).cumsum(dim=0)[after - 1] / after[:, None]
    return Lyapunov(
        exponents=_numbers(means[order]),
        standard_errors=_numbers(errors),
        running_steps=after.tolist(),
        running=[_numbers(of_one) for of_one in running.T],
        size=size,
        streams=streams,
        steps=steps,
        transient=transient,
    )


def _numbers(values: Tensor) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values.tolist()]
