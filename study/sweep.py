"""The driver of a sweep: asks for trials, hands them to workers, writes down what comes back.

It is the single writer of Optuna's journal and of MLflow. A finished trial is filed in both; whatever
a crash leaves in the spool is filed at the next start, and what was running is run again.
"""

import json
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from study.arm_progress import ArmProgress
from study.config import Flat, TrialConfig
from study.database import check_folder
from study.errors import UserError
from study.execution import Died, Job, LocalPool, Message
from study.filing import Filing
from study.notes import arm_note, experiment_note
from study.recovery import Recovery
from study.relocation import FOLDER
from study.run_record import RunRecord, RunToWrite, card_of
from study.search import Trial, confirmation_seed, open_searches
from study.spaces import Arm, Space, check_data, planned_trials
from study.spool import Spool
from study.store_errors import reason
from study.study_lock import check_case, in_a_line, locked
from study.tracking import STUDY_TAG, Store
from study.trial_record import TrialRecord
from study.views import run_color
from study.views import tags as view_tags

MOST_ATTEMPTS = 2  # a trial whose worker process dies is run once more
POLL_SECONDS = 0.5


@dataclass
class SweepStatus:
    """What a display shows; renewed after every event."""

    arms: list[ArmProgress]
    workers: int
    started: float = field(default_factory=time.monotonic)
    warnings: list[str] = field(default_factory=list)

    @property
    def left(self) -> int:
        return sum(arm.left for arm in self.arms)

    @property
    def elapsed_seconds(self) -> float:
        return time.monotonic() - self.started

    @property
    def seconds_left(self) -> float | None:
        """From each arm's mean time a trial, the sweep's for an arm that has none yet."""
        known = [arm.seconds_per_trial for arm in self.arms if arm.seconds_per_trial is not None]
        if not known:
            return None
        typical = sum(known) / len(known)
        work = sum(arm.left * (arm.seconds_per_trial or typical) for arm in self.arms)
        return work / self.workers


class Sweep:
    """One space swept in one folder. `run` may refuse, and yields the status as it changes; once
    ``stop`` is set it ends with a KeyboardInterrupt where nothing is half written.
    """

    def __init__(
        self, space: Space, folder: Path, workers: int, stop: threading.Event | None = None
    ) -> None:
        self.space, self.folder = space, folder
        self._stop = stop or threading.Event()
        self._root = folder.resolve() / FOLDER
        arms = space.arms()
        planned = planned_trials(space)
        self.arms = {arm.slug: arm for arm in arms}
        self.progress = {
            arm.slug: ArmProgress(arm.title, planned, space.confirmations) for arm in arms
        }
        self.status = SweepStatus(list(self.progress.values()), workers)
        self._active: dict[str, _Active] = {}
        self._again: deque[tuple[str, int]] = deque()
        self.ran = False  # whether there was anything left to run
        self.waiting = 0  # finished runs that are not in the store at the end

    def run(self) -> Generator[SweepStatus, None, None]:
        """Sweeps to the end. Raises UserError before anything is written if it cannot begin, and
        when it cannot go on, as on a full disk.

        Leaving the iteration early, by Ctrl-C for instance, ends the workers, marks the arms'
        runs KILLED and loses nothing that is finished.
        """
        self.status.warnings += check_data(self.space)
        check_folder(self._root)
        check_case(self._root / "optuna", self.space.name)
        self.store = Store.open(self.folder, create=True)
        optuna = self._root / "optuna"
        with locked(optuna / f"{self.space.name}.lock", self.space.name), in_a_line():
            self._journal = optuna / f"{self.space.name}.journal"
            self.searches = open_searches(self.space, self._journal)
            self.spool = Spool(self._root / "spool" / self.space.name)
            told = self.status.warnings
            self.filing = Filing(self.store, self.spool, self.searches, self.progress, told)
            self._open_runs()
            self.filing.file_waiting()
            yield self.status
            try:
                if self.status.left:
                    self.ran = True
                    with LocalPool(min(self.status.workers, self.status.left)) as pool:
                        yield from self._loop(pool)
            finally:
                self._close()
            yield self.status

    def _close(self) -> None:
        """What can still be written of the end; what cannot is told."""
        try:
            self.waiting = self.filing.close()
            complete = self._complete
            for run_id in self._run_ids.values():
                self.store.finish(run_id, "FINISHED" if complete else "KILLED")
            self.store.experiment(self.space.name, view_tags(self.space, complete))
            self.store.optimize()
        except (UserError, OSError) as error:
            self.status.warnings.append(reason(error))
        if self.waiting:
            self.status.warnings.append(
                f"{self.waiting} finished runs wait in {self.spool.folder}; the same command files "
                "them once the store is back"
            )

    @property
    def _complete(self) -> bool:
        """Whether all that is planned has ended and is in the store."""
        return not self.status.left and not self.spool

    def _open_runs(self) -> None:
        """Experiment and parent runs, and what earlier sweeps have already finished."""
        name, told = self.space.name, self.status.warnings
        earlier = self.store.study(name).runs if self.store.has(name) else []
        for run in earlier:
            self._check_data(run)
        experiment = self.store.experiment(name, {STUDY_TAG: name})
        spooled = {record.key for record in self.spool}
        recovery = Recovery(self.store, experiment, self.searches, self.progress, spooled, told)
        recovery.take_in(earlier, str(self._journal.parent))
        self._again = deque(recovery.again)
        note = experiment_note(self.space, experiment)
        self.store.experiment(
            name, {"mlflow.note.content": note, **view_tags(self.space, self._complete)}
        )
        now = int(time.time() * 1000)
        self._run_ids = {}
        for slug, arm in self.arms.items():
            run_id = self.store.write(experiment, self._arm_run(arm, now))
            self.store.update(
                run_id, tags={"mlflow.note.content": arm_note(arm, experiment, run_id)}
            )
            self._run_ids[slug] = run_id
        self.filing.open(experiment, self._run_ids)
        for slug in recovery.adopt(self.store.study(name).runs, self._run_ids):
            self.filing.sum_up(slug)
        told += [*self.store.notices, *self.spool.notices]
        self.spool.notices.clear()

    def _check_data(self, earlier: RunRecord) -> None:
        arm = self.arms.get(earlier.tags.get("arm", ""))
        if arm is None or earlier.tags.get("role") != "arm":
            return
        task = self._template(arm).task
        if not task.has_data_of(card_of(earlier.tags)):
            raise UserError(
                f"{arm.title}: the data of task {task.name!r} are not those of this study's earlier "
                "runs; put the files back, or sweep under a new name (--as NAME)"
            )

    def _arm_run(self, arm: Arm, now_ms: int) -> RunToWrite:
        template = self._template(arm)
        searched = dict.fromkeys(self.space.search, "searched")
        return RunToWrite(
            key=f"{self.space.name}/{arm.slug}",
            name=arm.title,
            status="RUNNING",
            start_ms=now_ms,
            end_ms=now_ms,
            tags={
                "role": "arm",
                "study": self.space.name,
                "arm": arm.slug,
                "task.card": json.dumps(template.task.card()),
                "cell.output": template.cell.output,
                "mlflow.runColor": run_color(self.space, arm),
                **{f"axis.{axis}": label for axis, label in arm.labels.items()},
            },
            params={
                **template.complete(),
                **searched,
                "seed": "a fresh one each trial",
                **{f"axis.{axis}": label for axis, label in arm.labels.items()},
            },
            files={"space.json": json.dumps(self.space.described(), indent=1).encode()},
        )

    def _template(self, arm: Arm) -> TrialConfig:
        return TrialConfig.from_flat(self.space.example(arm))

    # The loop

    def _loop(self, pool: LocalPool) -> Iterator[SweepStatus]:
        # A trial that ended but waits in the spool is unfinished for Optuna only.
        resumed = deque(
            (slug, trial)
            for slug, search in self.searches.items()
            for trial in search.unfinished()
            if trial.number not in self.progress[slug].numbers
        )
        while True:
            if self._stop.is_set():
                raise KeyboardInterrupt
            while pool.free and (active := self._next(resumed)) is not None:
                self._active[active.job["key"]] = active
                pool.submit(active.job)
            self._count_running()
            if not pool.running:
                return
            yield self.status
            for event in pool.events(POLL_SECONDS):
                self._handle(event, pool)

    def _next(self, resumed: "deque[tuple[str, Trial]]") -> "_Active | None":
        if resumed:
            return self._trial(*resumed.popleft())
        if self._again:
            return self._once_more(*self._again.popleft())
        waiting = [s for s in self.searches.values() if s.remaining]
        if waiting:
            # The arm that is furthest behind, so that all arms advance together.
            search = min(waiting, key=lambda s: len(s.trials))
            return self._trial(search.arm.slug, search.ask())
        return next(filter(None, (self._confirmation(slug) for slug in self.arms)), None)

    def _trial(self, slug: str, trial: Trial) -> "_Active":
        search = self.searches[slug]
        config = search.configure(trial)
        attempt = int(trial.user_attrs.get("attempt", 0)) + 1
        trial.set_user_attr("attempt", attempt)
        key = f"{self.space.name}/{slug}/{trial.number}/{attempt}"
        record = self._record(slug, key, "trial", trial.number, config)
        may_stop = self.space.pruner != "none"
        job = {"key": key, "config": config, "test": False, "may_stop": may_stop}
        return _Active(slug, record, job, trial)

    def _once_more(self, slug: str, number: int) -> "_Active":
        """A trial that has ended and been told, and whose run is gone: the same again."""
        search = self.searches[slug]
        config = search.configured(number)
        # Its own key: confirmations name it, and what is left of its run is completed.
        key = f"{self.space.name}/{slug}/{number}/{search.attempts(number)}"
        record = self._record(slug, key, "trial", number, config)
        ends_at = search.pruned_at(number)
        job = {"key": key, "config": config, "test": False, "may_stop": ends_at is not None}
        return _Active(slug, record, job, None, ends_at=ends_at)

    def _confirmation(self, slug: str) -> "_Active | None":
        """The arm's next confirmation, once its search is over; None when there is none to run."""
        progress = self.progress[slug]
        if len(progress.trials) < progress.planned or (best := progress.best) is None:
            return None
        taken = {e.number for e in progress.confirmations}
        taken |= {
            a.number for a in self._active.values() if a.slug == slug and a.record.role != "trial"
        }
        index = next((i for i in range(self.space.confirmations) if i not in taken), None)
        if index is None:
            return None
        settings = self.searches[slug].configured(best.number)
        config = settings | {"seed": confirmation_seed(self.space, index)}
        key = f"{self.space.name}/{slug}/confirm-{best.number}-{index}"
        record = self._record(slug, key, "confirmation", index, config)
        record.tags["confirms"] = best.key
        job = {"key": key, "config": config, "test": True, "may_stop": False}
        return _Active(slug, record, job, None)

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
                "study": self.space.name,
                "arm": slug,
                "number": str(number),
                "cell.output": settled.cell.output,
                "mlflow.runColor": run_color(self.space, arm),
            },
            axes=arm.labels,
            start_ms=int(time.time() * 1000),
        )

    def _handle(self, event: Message | Died, pool: LocalPool) -> None:
        active = self._active[event.job["key"]]
        if isinstance(event, Died):
            self._bury(active, event, pool)
            return
        active.record.add(event.kind, event.content)
        if event.kind == "evaluation" and active.job["may_stop"]:
            pool.answer(active.job, stop=self._should_prune(active, event.content))
        if event.kind in ("result", "error"):
            del self._active[active.job["key"]]
            self.filing.take(active.record)

    def _should_prune(self, active: "_Active", evaluation: dict[str, Any]) -> bool:
        if active.ends_at is not None:
            return bool(evaluation["step"] >= active.ends_at)
        loss = evaluation["values"].get("validation/loss")
        if loss is None or active.trial is None:
            return False
        search = self.searches[active.slug]
        return search.report(active.trial, evaluation["step"], loss / active.chance_loss)

    def _bury(self, active: "_Active", event: Died, pool: LocalPool) -> None:
        active.deaths += 1
        if active.deaths < MOST_ATTEMPTS:
            self.status.warnings.append(
                f"{active.record.name}: the worker died (exit code {event.exit_code}); running it again"
            )
            pool.submit(active.job)
            return
        del self._active[active.job["key"]]
        now = int(time.time() * 1000)
        reason = (
            f"the worker process died {active.deaths} times, last with exit code "
            f"{event.exit_code}; a negative code is a signal, -9 often means out of memory\n"
        )
        active.record.add("error", {"traceback": reason, "ms": now})
        self.filing.take(active.record)

    def _count_running(self) -> None:
        for slug, progress in self.progress.items():
            progress.running = sum(a.slug == slug for a in self._active.values())


@dataclass
class _Active:
    """A job that a worker has."""

    slug: str
    record: TrialRecord
    job: Job
    trial: Trial | None
    deaths: int = 0
    ends_at: int | None = None  # the update at which it was pruned before

    @property
    def number(self) -> int:
        return int(self.record.tags["number"])

    @cached_property
    def chance_loss(self) -> float:
        return TrialConfig.from_flat(self.job["config"]).task.chance_loss
