"""Which trial or confirmation a sweep runs next, and everything it needs to be run."""

import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from study.spaces.space import Space
from study.sweep.execution import Job
from study.sweep.progress import ArmProgress, Ended
from study.sweep.search import ArmSearch, Trial, confirmation_seed, rerun_seed
from study.tracking.trial_record import Role, TrialRecord
from study.tracking.views import run_color
from study.trial.config import Flat, TrialConfig

# Of an arm's confirmations; dear probes may take longer than training, and spread little between seeds.
DEARLY_PROBED = 3


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
    """The trials of every arm, then its finalists' reruns, then its confirmations.

    What ended once and is gone comes first, and what earlier sweeps began: ``again`` are trials, as arm
    and number, that ended before.
    """

    def __init__(
        self,
        space: Space,
        searches: Mapping[str, ArmSearch],
        progress: Mapping[str, ArmProgress],
        again: Iterable[tuple[str, int]],
    ) -> None:
        self._space, self._searches, self._progress = space, searches, progress
        self.arms = {arm.slug: arm for arm in space.tuned()}
        self._again = deque(again)
        # A trial that ended but waits in the spool is unfinished for Optuna only.
        self._resumed = deque(
            (slug, trial)
            for slug, search in searches.items()
            for trial in search.unfinished()
            if trial.number not in progress[slug].numbers
        )
        self._begun: set[str] = set()  # the keys of reruns and confirmations

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
        repeats = (self._rerun(slug) or self._confirmation(slug) for slug in self.arms)
        return next(filter(None, repeats), None)

    def _trial(self, slug: str, trial: Trial) -> Active:
        search = self._searches[slug]
        config = search.configure(trial)
        attempt = int(trial.user_attrs.get("attempt", 0)) + 1
        trial.set_user_attr("attempt", attempt)
        key = f"{self._space.name}/{slug}/{trial.number}/{attempt}"
        record = self._record(slug, key, "trial", trial.number, config)
        may_stop = self._space.pruner != "none"
        return Active(slug, record, _job(key, config, may_stop=may_stop), trial)

    def _once_more(self, slug: str, number: int) -> Active:
        """A trial that has ended and been told, and whose run is gone: the same again."""
        search = self._searches[slug]
        config = search.configured(number)
        # Its own key: confirmations name it, and what is left of its run is completed.
        key = f"{self._space.name}/{slug}/{number}/{search.attempts(number)}"
        record = self._record(slug, key, "trial", number, config)
        ends_at = search.pruned_at(number)
        job = _job(key, config, may_stop=ends_at is not None)
        return Active(slug, record, job, None, ends_at=ends_at)

    def _rerun(self, slug: str) -> Active | None:
        """The next run of a finalist on a fresh seed, once the search is over; None when there is none.

        Every finalist's first ones come first.
        """
        progress = self._progress[slug]
        for index in range(progress.planned.reruns):
            for trial in progress.finalists:
                key = f"{self._space.name}/{slug}/rerun-{trial.number}-{index}"
                if not progress.has(key) and key not in self._begun:
                    seed = rerun_seed(self._searches[slug].seed, index)
                    return self._again_with(slug, key, "rerun", trial, index, seed)
        return None

    def _confirmation(self, slug: str) -> Active | None:
        """The arm's next confirmation, once its trial is chosen; None when there is none to run."""
        progress = self._progress[slug]
        if (chosen := progress.chosen) is None:
            return None
        for index in range(progress.planned.confirmations):
            key = f"{self._space.name}/{slug}/confirm-{chosen.number}-{index}"
            if not progress.has(key) and key not in self._begun:
                seed = confirmation_seed(self._searches[slug].seed, index)
                return self._again_with(slug, key, "confirmation", chosen, index, seed)
        return None

    def _again_with(
        self, slug: str, key: str, role: Role, trial: Ended, index: int, seed: int
    ) -> Active:
        """A trial's settings with another seed."""
        self._begun.add(key)
        config = self._searches[slug].configured(trial.number) | {"seed": seed}
        record = self._record(slug, key, role, index, config, trial.number)
        record.tags["confirms" if role == "confirmation" else "repeats"] = trial.key
        confirms = role == "confirmation"
        dear = confirms and index < DEARLY_PROBED
        return Active(slug, record, _job(key, config, test=confirms, dear=dear), None)

    def _record(
        self, slug: str, key: str, role: Role, number: int, config: Flat, trial: int = 0
    ) -> TrialRecord:
        """``trial`` is the number of the one that is repeated."""
        arm = self.arms[slug]
        source = self._searches[slug].source(number) if role == "trial" else ""
        first = f"#{number}, published" if source else f"#{number}"
        marks = {"trial": first, "rerun": f"rerun {number} of #{trial}"}
        mark = marks.get(role, f"confirmation {number}")
        settled = TrialConfig.from_flat(config)
        return TrialRecord(
            key=key,
            name=f"{arm.title} · {mark}",
            role=role,
            config=settled.complete(),
            tags={
                "study": self._space.name,
                "arm": slug,
                "search": str(arm.search + 1),
                "number": str(number),
                "cell.output": settled.cell.output,
                "mlflow.runColor": run_color(self._space, arm),
                **({"baseline": source} if source else {}),
            },
            axes=arm.labels,
            start_ms=int(time.time() * 1000),
        )


def _job(
    key: str, config: Flat, *, test: bool = False, dear: bool = False, may_stop: bool = False
) -> Job:
    """As `study.sweep.worker` takes it."""
    return {"key": key, "config": config, "test": test, "dear": dear, "may_stop": may_stop}
