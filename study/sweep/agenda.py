"""Which trial or confirmation a sweep runs next, and everything it needs to be run."""

import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from study.spaces.space import Space
from study.sweep.execution import Job
from study.sweep.progress import ArmProgress
from study.sweep.search import ArmSearch, Trial, confirmation_seed
from study.tracking.trial_record import TrialRecord
from study.tracking.views import run_color
from study.trial.config import Flat, TrialConfig


@dataclass
class Active:
    """A job that a worker has."""

    slug: str
    record: TrialRecord
    job: Job
    trial: Trial | None
    ends_at: int | None = None  # the update at which it was pruned before

    @property
    def number(self) -> int:
        return int(self.record.tags["number"])

    @property
    def deaths(self) -> int:
        """Of workers of this trial, in this sweep and in earlier ones; 0 where they are not kept."""
        return int(self.trial.user_attrs.get("deaths", 0)) if self.trial is not None else 0

    def died(self) -> None:
        if self.trial is not None:
            self.trial.set_user_attr("deaths", self.deaths + 1)

    @cached_property
    def chance_loss(self) -> float:
        return TrialConfig.from_flat(self.job["config"]).task.chance_loss


class Agenda:
    """The trials of every arm, then its confirmations. What ended once and is gone comes first, and
    what earlier sweeps began: ``again`` are trials, as arm and number, that ended before.
    """

    def __init__(
        self,
        space: Space,
        searches: Mapping[str, ArmSearch],
        progress: Mapping[str, ArmProgress],
        again: Iterable[tuple[str, int]],
    ) -> None:
        self._space, self._searches, self._progress = space, searches, progress
        self.arms = {arm.slug: arm for arm in space.arms()}
        self._again = deque(again)
        # A trial that ended but waits in the spool is unfinished for Optuna only.
        self._resumed = deque(
            (slug, trial)
            for slug, search in searches.items()
            for trial in search.unfinished()
            if trial.number not in progress[slug].numbers
        )
        self._begun: set[str] = set()  # the keys of confirmations

    def next(self) -> Active | None:
        """What to run next, begun; None when there is nothing that can be run by now."""
        if self._resumed:
            return self._trial(*self._resumed.popleft())
        if self._again:
            return self._once_more(*self._again.popleft())
        waiting = [s for s in self._searches.values() if s.remaining]
        if waiting:
            # The arm that is furthest behind, so that all arms advance together.
            search = min(waiting, key=lambda s: len(s.trials))
            return self._trial(search.arm.slug, search.ask())
        return next(filter(None, (self._confirmation(slug) for slug in self.arms)), None)

    def _trial(self, slug: str, trial: Trial) -> Active:
        search = self._searches[slug]
        config = search.configure(trial)
        attempt = int(trial.user_attrs.get("attempt", 0)) + 1
        trial.set_user_attr("attempt", attempt)
        key = f"{self._space.name}/{slug}/{trial.number}/{attempt}"
        record = self._record(slug, key, "trial", trial.number, config)
        may_stop = self._space.pruner != "none"
        job = {"key": key, "config": config, "test": False, "may_stop": may_stop}
        return Active(slug, record, job, trial)

    def _once_more(self, slug: str, number: int) -> Active:
        """A trial that has ended and been told, and whose run is gone: the same again."""
        search = self._searches[slug]
        config = search.configured(number)
        # Its own key: confirmations name it, and what is left of its run is completed.
        key = f"{self._space.name}/{slug}/{number}/{search.attempts(number)}"
        record = self._record(slug, key, "trial", number, config)
        ends_at = search.pruned_at(number)
        job = {"key": key, "config": config, "test": False, "may_stop": ends_at is not None}
        return Active(slug, record, job, None, ends_at=ends_at)

    def _confirmation(self, slug: str) -> Active | None:
        """The arm's next confirmation, once its search is over; None when there is none to run."""
        progress = self._progress[slug]
        if len(progress.trials) < progress.planned or (best := progress.best) is None:
            return None
        ended = {e.number for e in progress.confirmations}
        for index in range(self._space.confirmations):
            key = f"{self._space.name}/{slug}/confirm-{best.number}-{index}"
            if index not in ended and key not in self._begun:
                break
        else:
            return None
        self._begun.add(key)
        settings = self._searches[slug].configured(best.number)
        config = settings | {"seed": confirmation_seed(self._space, index)}
        record = self._record(slug, key, "confirmation", index, config)
        record.tags["confirms"] = best.key
        job = {"key": key, "config": config, "test": True, "may_stop": False}
        return Active(slug, record, job, None)

    def _record(self, slug: str, key: str, role: Any, number: int, config: Flat) -> TrialRecord:
        arm = self.arms[slug]
        mark = f"#{number}" if role == "trial" else f"confirmation {number}"
        settled = TrialConfig.from_flat(config)
        return TrialRecord(
            key=key,
            name=f"{arm.title} · {mark}",
            role=role,
            config=settled.complete(),
            tags={
                "study": self._space.name,
                "arm": slug,
                "number": str(number),
                "cell.output": settled.cell.output,
                "mlflow.runColor": run_color(self._space, arm),
            },
            axes=arm.labels,
            start_ms=int(time.time() * 1000),
        )
