"""What is finished on its way: to the spool, then to MLflow, then to Optuna."""

import time
from collections.abc import Mapping

from study.sweep.progress import ArmProgress, Ended
from study.sweep.search import ArmSearch
from study.sweep.spool import Spool
from study.tracking.run_record import RunToWrite
from study.tracking.store import Store
from study.tracking.store_errors import reason
from study.tracking.trial_record import TrialRecord

# Of the time, that is spent on a store that is away: a try in vain may take 20 s.
_SHARE_OF_TRIES = 0.1
_LAST_TRY_SECONDS = 30


class Filing:
    """Files each record once, however often it is told to; what cannot be filed yet waits in the
    spool. ``told`` is for the user."""

    def __init__(
        self,
        store: Store,
        spool: Spool,
        searches: Mapping[str, ArmSearch],
        progress: Mapping[str, ArmProgress],
        told: list[str],
    ) -> None:
        self._store, self._spool = store, spool
        self._searches, self._progress, self._told = searches, progress, told
        self._experiment = ""
        self._parents: Mapping[str, str] = {}
        self._waiting: set[str] = set()  # keys
        self._next_try = 0.0  # of time.monotonic

    def open(self, experiment: str, parents: Mapping[str, str]) -> None:
        """To which experiment, and the id of each arm's run."""
        self._experiment, self._parents = experiment, parents

    def take(self, record: TrialRecord) -> None:
        """A trial that has just ended. Raises OSError when there is no room for it in the spool."""
        self._spool.put(record)
        self._file(record, hold=time.monotonic() < self._next_try)
        if self._waiting and time.monotonic() >= self._next_try:
            self.file_waiting()

    def file_waiting(self) -> None:
        """Whatever is in the spool, until the store is away again."""
        before, away = len(self._waiting), False
        for record in self._spool:
            self._file(record, hold=away)
            away = record.key in self._waiting
        self._hear()
        if before and not self._waiting:
            self._told.append("the store is back: all that waited in the spool is filed")

    def _file(self, record: TrialRecord, hold: bool) -> None:
        """Into MLflow and Optuna, and out of the spool; only counted if it is to be held back."""
        try:
            run, ended = self._made(record)
        except Exception as error:  # whatever a damaged file makes of it
            self._spool.set_aside(record, f"it cannot be filed: {reason(error)}")
            self._hear()
            return
        self._progress[record.tags["arm"]].add(ended)
        if hold:
            self._waiting.add(record.key)
            return
        began = time.monotonic()
        try:
            self._write(run)
        except Exception as error:
            # The store may be away for a while. The record stays in the spool, and the sweep goes on.
            ended_at = time.monotonic()
            self._next_try = ended_at + (ended_at - began) / _SHARE_OF_TRIES
            if not self._waiting:
                self._told.append(f"{record.name} waits in the spool: {reason(error)}")
            self._waiting.add(record.key)
            return
        if record.role == "trial":
            number = int(record.tags["number"])
            self._searches[record.tags["arm"]].tell(number, record.outcome, record.score)
        self._spool.remove(record)
        self._waiting.discard(record.key)

    def close(self) -> int:
        """A last try, for as long as a server needs to start anew. Returns how many still wait."""
        deadline = time.monotonic() + _LAST_TRY_SECONDS
        while self._waiting:
            self.file_waiting()
            if not self._waiting or time.monotonic() >= deadline:
                break
            time.sleep(1)  # a refused connection takes no time at all
        return len(self._waiting)

    def _made(self, record: TrialRecord) -> tuple[RunToWrite, Ended]:
        """Raises ValueError, or whatever it is that its content leads to, if it is none of ours."""
        arm = record.tags.get("arm", "")
        if arm not in self._searches:
            raise ValueError(f"this study has no arm {arm!r}")
        search = self._searches[arm]
        if not record.key.startswith(f"{search.space.name}/{arm}/"):
            raise ValueError("it is of another study")
        ended = Ended.of_record(record)
        if record.role == "trial" and ended.number not in {t.number for t in search.trials}:
            raise ValueError(f"the journal has no trial {ended.number} of arm {arm!r}")
        return record.to_run(self._parents[arm]), ended

    def sum_up(self, arm: str) -> None:
        """An arm's run, as its trials and confirmations have it."""
        progress = self._progress[arm]
        best = progress.chosen or progress.best
        tags = {"best_trial_key": best.key} if best else {}
        now = int(time.time() * 1000)
        self._store.update(self._parents[arm], progress.points(now), tags)

    def _write(self, run: RunToWrite) -> None:
        self._store.write(self._experiment, run)
        self.sum_up(run.tags["arm"])

    def _hear(self) -> None:
        self._told += self._spool.notices
        self._spool.notices.clear()
