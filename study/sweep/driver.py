"""The driver of a sweep: asks for trials, hands them to workers, writes down what comes back.

It is the single writer of Optuna's journal and of MLflow. A finished trial is filed in both; whatever
a crash leaves in the spool is filed at the next start, and what was running is run again.
"""

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from study.base.errors import UserError
from study.spaces.plan import Plan
from study.spaces.space import Space, check_data
from study.sweep import arm_flows
from study.sweep.agenda import Active, Agenda
from study.sweep.arm_runs import ArmRuns
from study.sweep.deaths import Deaths
from study.sweep.execution import Died, LocalPool, Message, Patience, Silent
from study.sweep.filing import Filing
from study.sweep.lease import Lease
from study.sweep.lock import check_case, in_a_line, locked
from study.sweep.progress import ArmProgress
from study.sweep.recovery import Recovery
from study.sweep.search import open_searches
from study.sweep.spool import Spool
from study.tracking.database import check_folder
from study.tracking.relocation import FOLDER
from study.tracking.store import Store
from study.tracking.store_errors import reason

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
        self,
        space: Space,
        folder: Path,
        workers: int,
        stop: threading.Event | None = None,
        patience: Patience | None = None,
        retry: bool = False,
    ) -> None:
        self.space, self.folder, self.retry = space, folder, retry
        self.patience = patience or Patience()
        self._stop = stop or threading.Event()
        self._root = folder.resolve() / FOLDER
        plan = Plan.of(space)
        self.progress = {arm.slug: ArmProgress(arm.title, plan) for arm in space.tuned()}
        self.status = SweepStatus(list(self.progress.values()), workers)
        self._active: dict[str, Active] = {}
        self.deaths = Deaths(workers)
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
        self.runs = ArmRuns(self.space, self.store)
        self.lease = Lease(self.store, self.space.name, self._root)
        optuna = self._root / "optuna"
        with (
            locked(optuna / f"{self.space.name}.lock", self.space.name),
            in_a_line(),
            closing(self.lease),
        ):
            yield from self._others()
            self._journal = optuna / f"{self.space.name}.journal"
            self.searches = open_searches(self.space, self._journal)
            self.spool = Spool(self._root / "spool" / self.space.name)
            told = self.status.warnings
            self.filing = Filing(self.store, self.spool, self.searches, self.progress, told)
            self._open()
            yield self.status
            try:
                if self.status.left:
                    self.ran = True
                    size = min(self.status.workers, self.status.left)
                    with LocalPool(size, self.patience) as pool:
                        yield from self._loop(pool)
            finally:
                self._close()
            yield self.status

    def _others(self) -> Iterator[SweepStatus]:
        """Raises UserError when another folder's sweep of this study runs into the same store."""
        for told in self.lease.look():
            if told:
                self.status.warnings.append(told)
            yield self.status
            if self._stop.is_set():
                raise KeyboardInterrupt

    def _open(self) -> None:
        """Experiment and parent runs, and what earlier sweeps have already finished."""
        told = self.status.warnings
        earlier = self.runs.earlier()
        experiment = self.runs.experiment()
        self.lease.take()
        spooled = {record.key for record in self.spool}
        recovery = Recovery(self.store, experiment, self.searches, self.progress, spooled, told)
        recovery.take_in(earlier, str(self._journal.parent), self.retry)
        ids = self.runs.open(self._complete)
        self.filing.open(experiment, ids)
        for slug in recovery.adopt(self.store.study(self.space.name).runs, ids):
            self.filing.sum_up(slug)
        told += [*self.store.notices, *self.spool.notices]
        self.spool.notices.clear()
        self.filing.file_waiting()
        self.agenda = Agenda(self.space, self.searches, self.progress, recovery.again)

    def _close(self) -> None:
        """What can still be written of the end; what cannot is told."""
        if self.lease.lost:
            return  # whoever has the study now writes its end
        try:
            self.waiting = self.filing.close()
            self.runs.close(self._complete)
            if self.ran and self._complete:
                arm_flows.sum_up(self.store, self.space.name, self.runs.ids, self.status.warnings)
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

    def unfinished(self, command: str) -> list[str]:
        """What to say at the end of what this sweep did not get done; ``command`` is its own."""
        told = [self.deaths.stopped] if self.deaths.stopped else []
        if left := self.status.left:
            told.append(f"{_counted(left)} still to do; go on with: {command}")
        ended = (e for p in self.progress.values() for e in p.counted)
        if failed := sum(e.outcome == "failed" for e in ended):
            told.append(
                f"{_counted(failed)} failed; MLflow has their tracebacks. Once mended, run them again "
                f"with: {command} --retry"
            )
        return told

    # The loop

    def _loop(self, pool: LocalPool) -> Iterator[SweepStatus]:
        while not self.deaths.stopped:
            if self._stop.is_set():
                raise KeyboardInterrupt
            self.lease.renew()
            while pool.free and (active := self.agenda.next()) is not None:
                self._active[active.job["key"]] = active
                pool.submit(active.job)
            self._count_running()
            if not pool.running:
                return
            yield self.status
            for event in pool.events(POLL_SECONDS):
                self._handle(event, pool)

    def _handle(self, event: Message | Died | Silent, pool: LocalPool) -> None:
        active = self._active.get(event.job["key"])
        if active is None:  # the sweep has just been stopped
            return
        if isinstance(event, Died):
            self._bury(active, event, pool)
            return
        if isinstance(event, Silent):
            self._tell_silence(active, event)
            return
        active.record.add(event.kind, event.content)
        if event.kind == "evaluation" and active.job["may_stop"]:
            pool.answer(active.job, stop=self._should_prune(active, event.content))
        if event.kind == "probe" and "failure" in event.content:
            self._tell_failure(event.content)
        if event.kind in ("result", "error"):
            self.deaths.over()
            del self._active[active.job["key"]]
            self.filing.take(active.record)

    def _should_prune(self, active: Active, evaluation: dict[str, Any]) -> bool:
        if active.ends_at is not None:
            return bool(evaluation["step"] >= active.ends_at)
        loss = evaluation["values"].get("validation/loss")
        if loss is None or active.trial is None:
            return False
        search = self.searches[active.slug]
        return search.report(active.trial, evaluation["step"], loss / active.chance_loss)

    def _bury(self, active: Active, event: Died, pool: LocalPool) -> None:
        verdict, told = self.deaths.add(event, active.deaths)
        active.died()
        name = active.record.name
        self.status.warnings.append(f"{name}: {told}")
        if verdict == "again":
            pool.submit(active.job)
            return
        del self._active[event.job["key"]]
        if verdict == "failed":
            now = int(time.time() * 1000)
            active.record.add("error", {"traceback": f"{told}\n", "ms": now})
            self.filing.take(active.record)

    def _tell_failure(self, content: dict[str, Any]) -> None:
        """Of each probe once: it may fail in every trial."""
        told = f"probe {content['probe']!r} failed"
        if not any(told in warning for warning in self.status.warnings):
            last = content["failure"].strip().splitlines()[-1]
            self.status.warnings.append(
                f"{told} ({last}); its numbers are missing, and the runs' {content['probe']}.json says "
                "where"
            )

    def _tell_silence(self, active: Active, event: Silent) -> None:
        self.status.warnings.append(
            f"{active.record.name}: its worker, process {event.pid}, has given no sign of life for "
            f"{event.seconds:.0f} s, as if somebody had stopped it; it is replaced after "
            f"{self.patience.silence / 60:.3g} minutes"
        )

    def _count_running(self) -> None:
        for slug, progress in self.progress.items():
            progress.running = sum(a.slug == slug for a in self._active.values())


def _counted(runs: int) -> str:
    return f"{runs} run{'s' * (runs != 1)}"
