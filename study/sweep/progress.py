"""What an arm has achieved so far, counted from its trials: the numbers of its parent run."""

import math
from dataclasses import dataclass, field

from study.tracking.run_record import Point, RunRecord
from study.tracking.trial_record import TrialRecord

OUTCOMES = ("solved", "budget", "pruned", "diverged", "failed")


@dataclass(frozen=True)
class Ended:
    """One ended trial or confirmation, as far as its arm needs to know it."""

    key: str
    role: str
    number: int
    outcome: str
    score: float | None
    seconds: float
    best_loss: float | None
    test_loss: float | None
    confirms: str | None = None

    @classmethod
    def of_record(cls, record: TrialRecord) -> "Ended":
        return cls._of(record.key, record.tags, record.role, record.outcome, record.summary())

    @classmethod
    def of_run(cls, run: RunRecord) -> "Ended":
        """Raises ValueError when it lacks a tag, as somebody may have edited it."""
        tags = run.tags
        for name in ("trial_key", "role", "outcome", "number"):
            if name not in tags:
                raise ValueError(f"it has no tag {name!r}")
        if tags["outcome"] not in OUTCOMES:
            raise ValueError(f"its tag 'outcome' is {tags['outcome']!r}, none of {OUTCOMES}")
        if not tags["number"].isdecimal():
            raise ValueError(f"its tag 'number' is {tags['number']!r}")
        return cls._of(tags["trial_key"], tags, tags["role"], tags["outcome"], run.metrics)

    @classmethod
    def _of(
        cls, key: str, tags: dict[str, str], role: str, outcome: str, metrics: dict[str, float]
    ) -> "Ended":
        return cls(
            key=key,
            role=role,
            number=int(tags["number"]),
            outcome=outcome,
            score=metrics.get("score"),
            seconds=metrics.get("wall_seconds", 0.0),
            best_loss=metrics.get("best/validation_loss"),
            test_loss=metrics.get("test/loss"),
            confirms=tags.get("confirms"),
        )


@dataclass
class ArmProgress:
    """The ended trials of one arm, each once, and how many are planned."""

    title: str
    planned: int
    confirmations_planned: int
    running: int = 0
    _ended: dict[str, Ended] = field(default_factory=dict)

    def add(self, ended: Ended) -> None:
        self._ended[ended.key] = ended

    @property
    def trials(self) -> list[Ended]:
        return [e for e in self._ended.values() if e.role == "trial"]

    @property
    def numbers(self) -> set[int]:
        return {e.number for e in self.trials}

    @property
    def confirmations(self) -> list[Ended]:
        """Those of the best trial; a better trial makes earlier ones count no more."""
        best = self.best
        confirmed = (e for e in self._ended.values() if e.role == "confirmation")
        return [e for e in confirmed if best is not None and e.confirms == best.key]

    def count(self, outcome: str) -> int:
        return sum(e.outcome == outcome for e in self.trials)

    @property
    def best(self) -> Ended | None:
        """The trial of lowest score among those that ran to their end; None when there is none."""
        fit = [e for e in self.trials if e.outcome in ("solved", "budget") and e.score is not None]
        return min(fit, key=lambda e: (e.score, e.number), default=None)

    @property
    def confirmed_solved(self) -> int:
        return sum(e.outcome == "solved" for e in self.confirmations)

    @property
    def seconds_per_trial(self) -> float | None:
        """Mean over what has ended; None before the first."""
        ended = list(self._ended.values())
        return sum(e.seconds for e in ended) / len(ended) if ended else None

    @property
    def left(self) -> int:
        """Trials and confirmations still to end."""
        confirmations = self.confirmations_planned
        if len(self.trials) >= self.planned and self.best is None:
            confirmations = 0
        return max(self.planned - len(self.trials), 0) + max(
            confirmations - len(self.confirmations), 0
        )

    def metrics(self) -> dict[str, float]:
        """The parent run's numbers."""
        values: dict[str, float | None] = {
            "trials/planned": self.planned,
            "trials/complete": len(self.trials),
            "trials/solved": self.count("solved"),
            "trials/pruned": self.count("pruned"),
            "trials/diverged": self.count("diverged"),
            "trials/failed": self.count("failed"),
            "confirmed/runs": len(self.confirmations),
            "confirmed/solved": self.confirmed_solved,
        }
        if best := self.best:
            values |= {"best/score": best.score, "best/validation_loss": best.best_loss}
        if self.confirmations:
            values["confirmed/solved_fraction"] = self.confirmed_solved / len(self.confirmations)
        losses = [e.test_loss for e in self.confirmations if e.test_loss is not None]
        if losses:
            values["confirmed/test_loss_mean"] = sum(losses) / len(losses)
            values["confirmed/test_loss_worst"] = max(losses)
        return {k: float(v) for k, v in values.items() if v is not None and math.isfinite(v)}

    def points(self, ms: int) -> list[Point]:
        step = len(self._ended)
        return [Point(name, value, step, ms) for name, value in self.metrics().items()]
