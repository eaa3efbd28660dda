"""What earlier sweeps left in the store, and what somebody has changed there since.

Whoever browses a study in MLflow can delete runs and edit tags. A sweep that goes on brings back what
the study cannot do without, runs again what cannot be brought back, and says both by name.
"""

from collections.abc import Mapping, Sequence

from study.base.errors import UserError
from study.sweep.progress import ArmProgress, Ended
from study.sweep.search import ArmSearch
from study.tracking.run_record import SUPERSEDED, RunRecord, is_superseded
from study.tracking.store import Store

RUNS = ("trial", "rerun", "confirmation")  # the roles of what is run
_NAMED = 5  # of many runs, by name


class Recovery:
    """One study's runs, taken into ``progress``; ``told`` is for the user.

    ``again`` are the trials, as arm and number, that ended once and whose runs are gone for good, or
    that failed and are to be tried again.
    """

    def __init__(
        self,
        store: Store,
        experiment: str,
        searches: Mapping[str, ArmSearch],
        progress: Mapping[str, ArmProgress],
        spooled: set[str],
        told: list[str],
    ) -> None:
        self._store, self._experiment = store, experiment
        self._searches, self._progress, self._told = searches, progress, told
        self._spooled = spooled
        self.again: list[tuple[str, int]] = []
        self._retried: set[tuple[str, int]] = set()

    def take_in(self, runs: Sequence[RunRecord], journal: str, retry: bool = False) -> None:
        """With ``retry`` what failed is to be run again.

        Raises UserError, having written nothing, where ``journal`` and store are of two studies.
        """
        failed = [run for run in runs if retry and self._failed(run)]
        runs = [run for run in runs if run not in failed]
        self._retried = {
            (run.tags["arm"], int(run.tags["number"]))
            for run in failed
            if run.tags["role"] == "trial"
        }
        unended = []
        for run in runs:
            if self._ours(run, *RUNS) and not self._take(run):
                unended.append(run)
        deleted = {run.tags.get("trial_key"): run for run in self._store.deleted(self._experiment)}
        restored = self._check(list(deleted.values()), journal)
        for run in failed:
            self._store.update(run.run_id, tags={SUPERSEDED: "true"})
        if failed:
            self._tell(failed, "failed and {} run again")
        for run in unended:
            if run.status == "RUNNING":  # of a driver that died, whose spool is gone too
                self._store.update(run.run_id, tags={SUPERSEDED: "true"})
                self._store.finish(run.run_id, "KILLED")
        arms = {run.tags["arm"] for run in runs if self._ours(run, "arm")}
        restored += [
            run
            for run in deleted.values()
            if self._ours(run, "arm") and run.tags["arm"] not in arms
        ]
        self._restore(restored)
        # Which trial is confirmed depends on the reruns.
        for role in ("rerun", "confirmation"):
            lacking = [r for r in deleted.values() if self._ours(r, role) and self._lacks(r)]
            self._restore(lacking)
            restored += lacking
        if restored:
            self._tell(restored, "had been deleted in MLflow and {} back")

    def adopt(self, runs: Sequence[RunRecord], parents: Mapping[str, str]) -> list[str]:
        """Every trial under its arm's run, and of several runs of an arm that one alone. Returns the
        arms whose run is another than before."""
        changed = []
        for slug, parent in parents.items():
            mine = [run for run in runs if run.tags.get("arm") == slug]
            others = [r for r in mine if r.tags.get("role") == "arm" and r.run_id != parent]
            for run in mine:
                if run.run_id == parent and is_superseded(run.tags):
                    self._store.update(parent, tags={SUPERSEDED: "false"})
            for run in others:
                if not is_superseded(run.tags):
                    self._store.update(run.run_id, tags={SUPERSEDED: "true"})
                    self._told.append(
                        f"{run.name} has two runs in MLflow; run {run.run_id[:8]} counts no more"
                    )
            children = [run for run in mine if run.tags.get("role") in RUNS]
            moved = [run for run in children if run.parent_id != parent]
            for run in moved:
                self._store.under(run.run_id, parent)
            if moved:
                changed.append(slug)
                self._told.append(
                    f"{self._progress[slug].title}: its run in MLflow is another than before; "
                    f"{len(moved)} of its trials and confirmations are under it again"
                )
        return changed

    def _ours(self, run: RunRecord, *roles: str) -> bool:
        return run.tags.get("role") in roles and run.tags.get("arm") in self._searches

    def _failed(self, run: RunRecord) -> bool:
        return (
            self._ours(run, *RUNS)
            and not is_superseded(run.tags)
            and _ended(run)
            and run.tags["outcome"] == "failed"
        )

    def _take(self, run: RunRecord) -> bool:
        """Count a run that has ended; whether it had."""
        if is_superseded(run.tags):
            return True
        if run.status == "RUNNING":
            return run.tags.get("trial_key") in self._spooled
        try:
            self._progress[run.tags["arm"]].add(Ended.of_run(run))
        except ValueError as error:
            self._told.append(f"{run.name}, run {run.run_id[:8]}, is passed over: {error}")
            return False
        return True

    def _restore(self, runs: Sequence[RunRecord]) -> None:
        for run in runs:
            self._store.restore(run.run_id)
            if not self._ours(run, "arm"):
                self._take(run)

    def _lacks(self, repeat: RunRecord) -> bool:
        """Whether a rerun or a confirmation belongs to what is counted now, and is not there."""
        key = repeat.tags["trial_key"]
        progress = self._progress[repeat.tags["arm"]]
        return (
            _ended(repeat)
            and not is_superseded(repeat.tags)
            and progress.counts(Ended.of_run(repeat))
            and not progress.has(key)
            and key not in self._spooled
        )

    def _check(self, deleted: list[RunRecord], journal: str) -> list[RunRecord]:
        """Hold each arm against the journal. Returns the deleted trials that are to be restored."""
        restored: list[RunRecord] = []
        told = filed = 0
        for slug, search in self._searches.items():
            numbers = self._progress[slug].numbers
            if numbers - {t.number for t in search.trials}:
                raise UserError(
                    f"{search.arm.title}: the MLflow store has trials that the journal in {journal} "
                    "has not; put the journal back, or sweep under a new name (--as NAME)"
                )
            spooled = {n for n in search.finished if self._is_spooled(slug, n)}
            missing = search.finished - numbers - spooled
            found: dict[int, RunRecord] = {}
            for run in deleted:
                ours = self._ours(run, "trial") and run.tags["arm"] == slug
                if ours and _ended(run) and not is_superseded(run.tags):
                    number = int(run.tags["number"])
                    if number in missing:
                        found[number] = run
            restored += found.values()
            self.again += [(slug, number) for number in sorted(missing - found.keys())]
            told += len(search.finished)
            filed += len(numbers) + len(spooled) + len(found)
            filed += sum(slug == of for of, _ in self._retried)
        if told and not filed:
            raise UserError(
                f"the journal in {journal} has {told} finished trials, the MLflow store none of them; "
                "put the store back, or sweep under a new name (--as NAME)"
            )
        gone = [trial for trial in self.again if trial not in self._retried]
        if gone:
            names = [f"{self._progress[slug].title} · #{n}" for slug, n in gone]
            self._told.append(
                f"{_listed(names)} ended before, and {_is(names)} not in MLflow any more; "
                "run once more"
            )
        return restored

    def _is_spooled(self, slug: str, number: int) -> bool:
        study = self._searches[slug].space.name
        return any(key.startswith(f"{study}/{slug}/{number}/") for key in self._spooled)

    def _tell(self, runs: list[RunRecord], what: str) -> None:
        names = [run.name for run in runs]
        self._told.append(f"{_listed(names)} {what.format(_is(names))}")


def _ended(run: RunRecord) -> bool:
    try:
        Ended.of_run(run)
    except ValueError:
        return False
    return True


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _is(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
