"""What a network's state still tells of an input some steps later."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from study.networks.model import Model
from study.probes.base import PROBES
from study.probes.ridge import Ridge
from study.probes.visits import order, spaced, visits
from study.tasks.base import Batch, Task

LAGS = 32
PAIRS = 8192  # of a state and an input, for each lag and part
FEWEST_SEQUENCES = 4


@dataclass(frozen=True)
class Memory:
    """How well a linear readout of the state finds the input k steps before, on sequences not fitted.

    ``scores[s][j]`` for each state s and k = ``lags[j]``: of real inputs R², the mean over those of them
    that vary; of one-hot ones (and of zeros and ones alone) the accuracy. ``chance[j]`` is what the best
    constant reaches, 0 or the share of the most frequent class. R² below 0 is a readout that fits the
    half of the sequences it was fitted to, and no more. A lag is left out at which no input varies, or
    which a half of the sequences has fewer times than the state has units. ``task_lag`` is the fewest
    and most steps that the task asks to be kept.
    """

    measure: Literal["r2", "accuracy"]
    lags: list[int]
    chance: list[float]
    scores: dict[str, list[float]]
    task_lag: tuple[int, int]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"task_lag": list(self.task_lag)}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> "Memory":
        return cls(**{**given, "task_lag": tuple(given["task_lag"])})

    def above_chance(self, state: str) -> list[float]:
        """At each lag (score - chance)/(1 - chance): 1 is all, 0 what a constant knows."""
        pairs = zip(self.scores[state], self.chance, strict=True)
        return [(score - chance) / (1 - chance) for score, chance in pairs]

    def summary(self) -> dict[str, float]:
        """By state, above chance: at the task's shortest lag where that was measured ("h/at_task_lag"),
        and the longest lag up to which it is at least half ("h/half_steps", -1 if not even the input
        just read is)."""
        values: dict[str, float] = {}
        for state in self.scores:
            above = dict(zip(self.lags, self.above_chance(state), strict=True))
            if self.task_lag[0] in above:
                values[f"{state}/at_task_lag"] = above[self.task_lag[0]]
            half = -1
            for k, value in above.items():
                if value < 0.5:
                    break
                half = k
            values[f"{state}/half_steps"] = float(half)
        return values


@PROBES.register(Memory, at=("init", "best"), dear=True)
@torch.no_grad()
def memory(model: Model, task: Task, batch: Batch, lags: int = LAGS) -> Memory | None:
    """The state after step t, and the task's input at step t - k, for every t within the sequences.

    Jaeger (2001), Short term memory in echo state networks, whose memory function is this R². A ridge
    regression with a penalty that the fitted half chooses, in float64; one-hot inputs by its largest
    output. Half of the sequences is fitted to, every other one in an order by what they hold, the other
    half is measured on. All lags are measured where they are no more than ``lags``, else as many, closer
    to one another where they are short, and among them the task's shortest one.

    Each of ``cell.variables`` is read alone, in the top layer's forward direction; of an encoder and a
    decoder, in the encoder. None where fewer than two steps are read or fewer than 4 sequences, where
    no lag can be measured, and when a state explodes (`visits`).
    """
    if len(batch.inputs) < 2 or len(batch) < FEWEST_SEQUENCES:
        return None
    visited = visits(model, batch)
    if visited is None:
        return None
    inputs = torch.where(visited.inside[..., None], batch.inputs.double(), 0)
    longest = int(visited.inside.sum(dim=0).max())
    classes = as_classes(inputs)
    targets = inputs if classes is None else classes
    rows = order(inputs.transpose(0, 1).flatten(1))
    names = visited.layer.cell.variables
    found: dict[int, tuple[float, dict[str, float]]] = {}
    for k in chosen_lags(longest, lags, task.lag[0]):
        halves = [_pairs(visited.inside, k, half) for half in (rows[::2], rows[1::2])]
        if any(len(times) < visited.layer.hidden_size for times, _ in halves):
            continue
        fitted, asked = (targets[times - k, which] for times, which in halves)
        level = _chance(fitted, asked)
        if level is None:
            continue
        scores = {}
        for name in names:
            seen, unseen = (visited.after[name][times, which] for times, which in halves)
            readout = Ridge(seen, _columns(fitted, targets))
            scores[name] = _score(readout(unseen), fitted, asked)
        found[k] = level, scores
    if not found:
        return None
    return Memory(
        measure="r2" if classes is None else "accuracy",
        lags=list(found),
        chance=[level for level, _ in found.values()],
        scores={name: [scores[name] for _, scores in found.values()] for name in names},
        task_lag=task.lag,
    )


def chosen_lags(steps: int, count: int, wanted: int) -> list[int]:
    """From 0 to ``steps`` - 1: all of them, or about ``count`` in a geometric row, with the one wanted."""
    if steps <= count:
        return list(range(steps))
    row = torch.logspace(0, 1, count, base=float(steps), dtype=torch.float64).round().long() - 1
    also = {wanted} if wanted < steps else set()
    return sorted({*row.tolist(), *also})


def as_classes(inputs: Tensor) -> Tensor | None:
    """(T,B,I) of zeros and at most one 1 a step -> (T,B) which, I where there is none; else None."""
    plain = ((inputs == 0) | (inputs == 1)).all() and (inputs.sum(dim=-1) <= 1).all()
    if not plain:
        return None
    return torch.where(inputs.any(dim=-1), inputs.argmax(dim=-1), inputs.shape[-1])


def _pairs(inside: Tensor, k: int, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Steps t and sequences, up to PAIRS, where t - k and t are within a sequence of ``rows``."""
    times, which = inside[k:, rows].nonzero(as_tuple=True)
    if len(times) > PAIRS:
        kept = spaced(len(times), PAIRS)
        times, which = times[kept], which[kept]
    return times + k, rows[which]


def _columns(fitted: Tensor, targets: Tensor) -> Tensor:
    """(n,C) what is regressed on."""
    if fitted.dim() == 2:
        return fitted
    return torch.nn.functional.one_hot(fitted, int(targets.max()) + 1).double()


def _chance(fitted: Tensor, asked: Tensor) -> float | None:
    """What a constant reaches; None where nothing varies."""
    if fitted.dim() == 2:
        return 0.0 if (_varying(fitted) & _varying(asked)).any() else None
    share = float((asked == fitted.mode().values).double().mean())
    return share if share < 1 and len(fitted.unique()) > 1 else None


def _varying(values: Tensor) -> Tensor:
    """(n,I) -> (I,)"""
    return (values != values[0]).any(dim=0)


def _score(answers: Tensor, fitted: Tensor, asked: Tensor) -> float:
    if asked.dim() == 1:
        return float((answers.argmax(dim=-1) == asked).double().mean())
    there = _varying(fitted) & _varying(asked)
    left = (asked - answers)[:, there].square().sum(dim=0)
    # Against the fitted half's mean, the best that is known without the state.
    whole = (asked - fitted.mean(dim=0))[:, there].square().sum(dim=0)
    return float((1 - left / whole).mean())
