"""What an arm has achieved so far, counted from its trials: the numbers of its parent run."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from study.spaces.plan import Plan
from study.tracking.run_record import Point, RunRecord
from study.tracking.trial_record import TrialRecord

CHANCE = 1.0  # the score of a loss as chance has it; to be worse than that is no worse
OUTCOMES = ("solved", "budget", "pruned", "diverged", "failed")


@dataclass(frozen=True)
class Ended:
    """One ended trial, rerun or confirmation, as far as its arm needs to know it."""

    key: str
    role: str
    number: int
    outcome: str
    score: float | None
    seconds: float
    best_loss: float | None
    test_loss: float | None
    repeats: str | None = None  # the key of the trial whose settings these are

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
            repeats=tags.get("confirms") or tags.get("repeats"),
        )


@dataclass(frozen=True)
class _Standing:
    """Which of the ended runs count, and what has been chosen by them; the properties of `ArmProgress`."""

    trials: list[Ended]
    ranked: list[Ended]
    finalists: list[Ended]
    reruns: list[Ended]
    chosen: Ended | None
    confirmations: list[Ended]

    @classmethod
    def of(cls, ended: Collection[Ended], plan: Plan) -> "_Standing":
        trials = [e for e in ended if e.role == "trial"]
        fit = [e for e in trials if e.outcome in ("solved", "budget")]
        known = [(e.score, e) for e in fit if e.score is not None and not math.isnan(e.score)]
        ranked = [e for _, e in sorted(known, key=lambda pair: (pair[0], pair[1].number))]
        over = len(trials) >= plan.trials
        finalists = ranked[: plan.finalists] if over and plan.selects else []
        finalists = finalists if len(finalists) > 1 else []
        again: dict[str, list[Ended]] = {trial.key: [] for trial in finalists}
        for e in ended:
            if e.role == "rerun" and e.repeats in again and e.number < plan.reruns:
                again[e.repeats].append(e)
        chosen = None
        if over and not finalists:
            chosen = next(iter(ranked), None)
        elif over and all(len(own) == plan.reruns for own in again.values()):
            # Of equal ones the first, which has the lower score.
            chosen = min(finalists, key=lambda trial: _merit(again[trial.key]))
        return cls(
            trials,
            ranked,
            finalists,
            [e for own in again.values() for e in own],
            chosen,
            [e for e in ended if e.role == "confirmation" and chosen and e.repeats == chosen.key],
        )


@dataclass
class ArmProgress:
    """The ended runs of one search of one arm, each once, and how many are planned."""

    title: str
    planned: Plan
    running: int = 0
    _ended: dict[str, Ended] = field(default_factory=dict)
    _standing: _Standing | None = None  # of what has ended; asked for many times between two ends

    def add(self, ended: Ended) -> None:
        self._ended[ended.key] = ended
        self._standing = None

    def has(self, key: str) -> bool:
        return key in self._ended

    def counts(self, repeat: Ended) -> bool:
        """Whether a rerun is of a finalist, or a confirmation of the trial that is chosen."""
        if repeat.role == "rerun":
            return any(trial.key == repeat.repeats for trial in self.finalists)
        return self.chosen is not None and self.chosen.key == repeat.repeats

    @property
    def _now(self) -> _Standing:
        if self._standing is None:
            self._standing = _Standing.of(self._ended.values(), self.planned)
        return self._standing

    @property
    def trials(self) -> list[Ended]:
        return self._now.trials

    @property
    def numbers(self) -> set[int]:
        return {e.number for e in self.trials}

    @property
    def reruns(self) -> list[Ended]:
        """Those of the finalists; other ones are of a search that was shorter."""
        return self._now.reruns

    @property
    def confirmations(self) -> list[Ended]:
        """Those of the chosen trial; a better trial makes earlier ones count no more."""
        return self._now.confirmations

    @property
    def counted(self) -> list[Ended]:
        """All that belongs to what is planned."""
        return [*self.trials, *self.reruns, *self.confirmations]

    def count(self, outcome: str) -> int:
        return sum(e.outcome == outcome for e in self.trials)

    @property
    def best(self) -> Ended | None:
        """The trial of lowest score so far, among those that ran to their end; None when there is none."""
        return next(iter(self._now.ranked), None)

    @property
    def finalists(self) -> list[Ended]:
        """The trials that are run again, once all trials have ended; none where there is no choice."""
        return self._now.finalists

    @property
    def chosen(self) -> Ended | None:
        """The trial to be confirmed: of the finalists the one whose reruns solve the task most often, and
        of equal ones that of the lowest mean score. None until that is known."""
        return self._now.chosen

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
        """Runs still to end."""
        missing = max(self.planned.trials - len(self.trials), 0)
        reruns, confirmations = self.planned.most_reruns, self.planned.confirmations
        if not missing:
            reruns = len(self.finalists) * self.planned.reruns - len(self.reruns)
            confirmations = confirmations if self.best else 0
        return missing + max(reruns, 0) + max(confirmations - len(self.confirmations), 0)

    @property
    def whole(self) -> int:
        """Runs in all, as far as is known by now."""
        return len(self.counted) + self.left

    def metrics(self) -> dict[str, float]:
        """The parent run's numbers."""
        values: dict[str, float | None] = {
            "trials/planned": self.planned.trials,
            "trials/complete": len(self.trials),
            "trials/solved": self.count("solved"),
            "trials/pruned": self.count("pruned"),
            "trials/diverged": self.count("diverged"),
            "trials/failed": self.count("failed"),
            "reruns/runs": len(self.reruns),
            "reruns/solved": sum(e.outcome == "solved" for e in self.reruns),
            "confirmed/runs": len(self.confirmations),
            "confirmed/solved": self.confirmed_solved,
        }
        if best := self.chosen or self.best:
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


def _merit(reruns: Sequence[Ended]) -> tuple[float, float]:
    """The lower the better: how many did not solve the task, then the mean score.

    A diverged or failed run counts as one at chance.
    """
    scores = [CHANCE if e.score is None else min(e.score, CHANCE) for e in reruns]
    return sum(e.outcome != "solved" for e in reruns), sum(scores) / len(scores)
