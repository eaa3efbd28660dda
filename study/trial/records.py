"""What a training tells of itself, as it goes on and at its end."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from study.trial.probing import Probed

Outcome = Literal["solved", "budget", "pruned", "diverged"]


@dataclass(frozen=True)
class Evaluation:
    """Measured after ``step`` updates: curves such as "train/loss" and "validation/loss"."""

    step: int
    values: dict[str, float]


@dataclass(frozen=True)
class Result:
    """How a trial ended.

    "solved" when the task's criterion was met on the validation set and then on sequences that had not
    been looked at (`Task.confirmation`); of a data set when, after all updates, the parameters of the
    best validation loss meet it on the test set, or on the validation set where the test set is not to
    be read. "budget" when the updates, the seconds or the patience ran out, "pruned" when the caller
    stopped it, "diverged" when the clipped gradient was not finite or an explosion of the training loss
    lasted: see `study.trial.divergence.Divergence`.
    ``budget`` is that in updates, and ``operations`` those of one update: see `study.trial.operations`.
    ``clip_rate`` is the share of ``steps`` in which the rule changed the gradient. ``score`` is what
    a search minimizes: see `score`. ``test`` is empty unless asked for. ``seconds_per_step`` is
    processor time, which what else runs on the machine distorts least; ``wall_seconds`` counts
    everything, evaluations too. ``test`` are the task's scores, and under MET 1 when they meet the
    criterion, else 0. ``beyond`` are the same of sequences so many times as long as those trained on, by
    the factor; of runs that solved the task, where it has a length.
    """

    outcome: Outcome
    score: float
    steps: int
    best_step: int
    best: dict[str, float]
    final: dict[str, float]
    parameters: int
    clip_rate: float
    skipped_steps: int
    wall_seconds: float
    seconds_per_step: float
    budget: int
    operations: int
    test: dict[str, float] = field(default_factory=dict)
    beyond: dict[str, dict[str, float]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Trained:
    """The parameters that solved the task, or else those of the best validation loss, by name."""

    parameters: dict[str, Tensor]

    @property
    def size(self) -> int:
        """How many numbers they are."""
        return sum(p.numel() for p in self.parameters.values())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Trained) or self.parameters.keys() != other.parameters.keys():
            return False
        return all(torch.equal(p, other.parameters[n]) for n, p in self.parameters.items())

    __hash__ = None  # type: ignore[assignment]


Record = Evaluation | Probed | Trained | Result
