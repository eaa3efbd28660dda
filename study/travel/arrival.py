"""A study out of a file into a folder's store: new there, under another name, or joined with its own runs."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from study.base.errors import UserError
from study.spaces.index import check_study_name
from study.spaces.plan import Plan
from study.spaces.space import Space, check_unchanged, identity
from study.sweep import arm_flows
from study.sweep.lease import Lease
from study.sweep.lock import check_case, locked
from study.sweep.progress import ArmProgress, Ended
from study.sweep.recovery import RUNS
from study.sweep.search import Journal
from study.tracking.database import check_folder
from study.tracking.notes import arm_note, experiment_note
from study.tracking.reading import STUDY_TAG
from study.tracking.relocation import FOLDER
from study.tracking.run_record import RunRecord, RunToWrite, is_superseded
from study.tracking.store import Store
from study.tracking.store_errors import reason
from study.tracking.views import tags as views_of
from study.travel.departure import SPACE
from study.travel.study_file import Carried, StudyFile

_COUNTS = ("trials", "finalists", "reruns", "confirmations", "searches")
_KEYS = (
    "trial_key",
    "confirms",
    "repeats",
    "best_trial_key",
)  # tags that begin with the study's name


@dataclass
class Arrived:
    """What has come of a study: ``new`` runs were written, ``there`` were there already."""

    name: str
    new: int = 0
    there: int = 0
    notices: list[str] = field(default_factory=list)


def arrive(file: StudyFile, study: str, folder: Path = Path(), name: str | None = None) -> Arrived:
    """Bring a study into the folder's store, under ``name`` where one is given.

    A study that is there already is joined with the file's: runs of the same key are the same run, and
    count once. When it is interrupted, the same again goes on. Raises UserError, having written nothing,
    where the two are no parts of one study, and when the store cannot be used.
    """
    if name is not None:
        check_study_name(name)
    carried = _renamed(file.carried(study), name or study)
    root = folder.resolve() / FOLDER
    check_folder(root)
    check_case(root / "optuna", carried.name)
    with _journal(carried, file.path) as journal:
        store = Store.open(folder, create=True)
        return _arrive(store, root, carried, study, journal)


@contextmanager
def _journal(carried: Carried, path: Path) -> Iterator[Journal | None]:
    """The file's journal of the study. Raises UserError when it cannot be read."""
    if not carried.journal:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="longlag-") as held:
        place = Path(held) / "journal"
        place.write_bytes(carried.journal)
        try:
            found = Journal(place)
        except UserError:
            raise UserError(
                f"{path} is damaged: its journal of {carried.name!r} cannot be read"
            ) from None
        yield found


def _arrive(
    store: Store, root: Path, carried: Carried, origin: str, journal: Journal | None
) -> Arrived:
    lease = Lease(store, carried.name, root)
    with (
        locked(root / "optuna" / f"{carried.name}.lock", carried.name),
        _told_in_a_line(),
        closing(lease),
    ):
        for _ in lease.look():
            pass
        return _Arrival(store, root, carried, origin, lease, journal).run()


class _Arrival:
    def __init__(
        self,
        store: Store,
        root: Path,
        carried: Carried,
        origin: str,
        lease: Lease,
        journal: Journal | None,
    ) -> None:
        self._store, self._root, self._carried, self._origin = store, root, carried, origin
        self._lease, self._journal = lease, journal
        self._result = Arrived(carried.name)

    def run(self) -> Arrived:
        name, store = self._carried.name, self._store
        here = store.study(name).runs if store.has(name) else []
        present = {r.tags.get("trial_key", ""): r for r in here if not is_superseded(r.tags)}
        self._check_same(present)
        space = self._space(here)
        journal = self._root / "optuna" / f"{name}.journal"
        if here and not journal.exists():
            raise UserError(
                f"study {name!r} is in this store, and its journal is not in {journal.parent}; put the "
                "journal back, or import under another name (--as NAME)"
            )
        self._journals(journal)
        experiment = store.experiment(name, {STUDY_TAG: name, **self._carried.tags})
        self._lease.take()
        arms = self._arms(experiment, present, space)
        self._children(experiment, present, arms)
        if space is not None:
            self._sum_up(experiment, space, arms)
        store.optimize()
        self._result.notices += store.notices
        return self._result

    # Before anything is written

    def _check_same(self, present: Mapping[str, RunRecord]) -> None:
        """Runs of one key must have the same settings."""
        for run in self._carried.runs:
            mine = present.get(run.tags["trial_key"])
            if mine is None or run.tags.get("role") == "arm" or not mine.params:
                continue
            names = run.params.keys() & mine.params.keys()
            other = [n for n in sorted(names) if run.params[n] != mine.params[n]]
            if other:
                raise UserError(
                    f"run {run.name!r} has {other[0]} = {run.params[other[0]]} in {self._origin!r} of the "
                    f"file and {mine.params[other[0]]} in this store, so the two are no parts of one "
                    "study; import it under another name (--as NAME)"
                )

    def _space(self, here: list[RunRecord]) -> Space | None:
        """That of the study as it will be. None when another version's cannot be read, which is told."""
        theirs = self._read_space(
            self._carried.files[run.run_id][SPACE]
            for run in self._carried.runs
            if SPACE in self._carried.files.get(run.run_id, {})
        )
        arms = [r.run_id for r in here if r.tags.get("role") == "arm" and not is_superseded(r.tags)]
        ours = self._read_space(self._store.artifact_bytes(i, SPACE) for i in arms)
        if theirs is None or (here and ours is None):
            if here:
                raise UserError(
                    f"the search space of {self._carried.name!r} cannot be read, here or in the file, so it "
                    "is not known whether the two are parts of one study; import it under another name "
                    "(--as NAME)"
                )
            self._result.notices.append(
                f"{self._carried.name!r} was swept by a version with other settings: its runs are here, "
                "its sweep cannot go on, and its views in MLflow are missing"
            )
        if theirs is None or ours is None:
            return theirs
        both = _joined(ours, theirs)
        for one in (ours, theirs):
            check_unchanged(both, identity(one))
        return both

    def _read_space(self, texts: Iterator[bytes]) -> Space | None:
        for text in texts:
            try:
                space = Space.model_validate_json(text)
            except (ValidationError, ValueError):
                continue
            return space.model_copy(update={"name": self._carried.name})
        return None

    # Written

    def _journals(self, journal: Path) -> None:
        """The journal first: of a trial that only the journal has, the run is made once more."""
        if self._journal is None:
            self._result.notices.append(
                f"the file has no journal of {self._carried.name!r}: its runs can be read, its sweep cannot "
                "go on here"
            )
            return
        ours = Journal(journal)
        try:
            ours.absorb(self._journal, self._origin, self._carried.name)
        except UserError:
            raise
        except (ValueError, KeyError, TypeError) as error:  # trials that Optuna would not make
            raise UserError(
                f"the file's journal of {self._origin!r} cannot be taken in: {reason(error)}"
            ) from None

    def _arms(
        self, experiment: str, present: Mapping[str, RunRecord], space: Space | None
    ) -> dict[str, str]:
        """The id of each arm's run, by the arm's slug."""
        described = json.dumps(space.described(), indent=1).encode() if space else None
        ids = {r.tags["arm"]: r.run_id for r in present.values() if r.tags.get("role") == "arm"}
        if described is not None:
            for run_id in ids.values():
                self._store.add_files(run_id, {SPACE: described})
        for run in self._carried.runs:
            slug = run.tags.get("arm", "")
            if run.tags.get("role") != "arm" or slug in ids:
                continue
            files = self._carried.files.get(run.run_id, {})
            written = self._to_write(run)
            written.files = files | ({SPACE: described} if described is not None else {})
            ids[slug] = self._store.write(experiment, written)
        return ids

    def _children(
        self, experiment: str, present: Mapping[str, RunRecord], arms: Mapping[str, str]
    ) -> None:
        for run in self._carried.runs:
            slug, key = run.tags.get("arm", ""), run.tags["trial_key"]
            if run.tags.get("role") not in RUNS or slug not in arms or run.status == "RUNNING":
                continue
            if key in present and present[key].status != "RUNNING":
                self._result.there += 1
                continue
            written = self._to_write(run)
            written.parent_id = arms[slug]
            self._store.write(experiment, written)
            self._lease.renew()
            self._result.new += 1

    def _to_write(self, run: RunRecord) -> RunToWrite:
        status: Any = "FINISHED" if run.status == "RUNNING" else run.status
        return RunToWrite(
            key=run.tags["trial_key"],
            name=run.name,
            status=status,
            start_ms=run.start_ms,
            end_ms=run.start_ms if run.end_ms is None else run.end_ms,
            tags={k: v for k, v in run.tags.items() if k != "mlflow.note.content"},
            params=dict(run.params),
            points=self._carried.points.get(run.run_id, []),
            files=self._carried.files.get(run.run_id, {}),
        )

    def _sum_up(self, experiment: str, space: Space, arms: Mapping[str, str]) -> None:
        """Each arm's numbers, notes and picture from all its runs, as a sweep would have left them."""
        store, name = self._store, self._carried.name
        planned = Plan.of(space)
        tuned = {arm.slug: arm for arm in space.tuned()}
        progress = {slug: ArmProgress(tuned[slug].title, planned) for slug in arms if slug in tuned}
        last = 0
        for run in store.study(name).runs:
            slug = run.tags.get("arm", "")
            counted = run.tags.get("role") in RUNS and not is_superseded(run.tags)
            if slug in progress and counted and run.status != "RUNNING":
                try:
                    progress[slug].add(Ended.of_run(run))
                except ValueError as error:
                    self._result.notices.append(f"{run.name} is passed over: {error}")
                last = max(last, run.end_ms or run.start_ms)
        for slug, each in progress.items():
            best = each.chosen or each.best
            found = {"mlflow.note.content": arm_note(tuned[slug], experiment, arms[slug])}
            if best:
                found["best_trial_key"] = best.key
            store.update(arms[slug], each.points(last), found)
            store.finish(arms[slug], "KILLED" if each.left else "FINISHED")
        complete = len(progress) == len(tuned) and not any(p.left for p in progress.values())
        note = {"mlflow.note.content": experiment_note(space, experiment)}
        store.experiment(name, {**note, **views_of(space, complete)})
        if complete:
            arm_flows.sum_up(store, name, arms.values(), self._result.notices)


def _joined(ours: Space, theirs: Space) -> Space:
    """A space with the arms of both, and the larger of each number of runs."""
    counts = {name: max(getattr(ours, name), getattr(theirs, name)) for name in _COUNTS}
    compare = {axis: dict(labels) for axis, labels in ours.compare.items()}
    for axis, labels in theirs.compare.items():
        for label, settings in labels.items():
            compare.setdefault(axis, {}).setdefault(label, settings)
    return ours.model_copy(update={**counts, "compare": compare})


def _renamed(carried: Carried, name: str) -> Carried:
    old = carried.name
    if name == old:
        return carried

    def run(before: RunRecord) -> RunRecord:
        given = dict(before.tags)
        for tag in _KEYS:
            if given.get(tag, "").startswith(f"{old}/"):
                given[tag] = name + given[tag].removeprefix(old)
        if given.get("study") == old:
            given["study"] = name
        return replace(before, tags=given)

    return replace(carried, name=name, runs=[run(before) for before in carried.runs])


@contextmanager
def _told_in_a_line() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"the import cannot go on: {reason(error)}; the same command goes on from there"
        ) from None
