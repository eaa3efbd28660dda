"""The MLflow store: the only file that imports mlflow.

Experiment = study, parent run = arm, child run = trial. Writing a trial again finds its run by the
tag ``trial_key`` and completes it, so that a replay after a crash makes no second one.

Every method raises `StoreError` when the store cannot be reached, read or written.
"""

import logging
import os
import shlex
import sqlite3
import sys
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # all read when mlflow is imported
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# A server that is away is noticed in seconds, not minutes: a sweep keeps what it could not write.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
os.environ.setdefault("PGCONNECT_TIMEOUT", "10")  # PostgreSQL's own, seconds

import mlflow.store.db.utils
from mlflow import MlflowClient
from mlflow.entities import Experiment, Metric, Param, Run, RunTag, ViewType
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from study.base.errors import UserError, unknown
from study.tracking import database
from study.tracking.provenance import context_tags
from study.tracking.relocation import ARTIFACTS, FOLDER, place, put, recorded
from study.tracking.run_record import (
    PARENT,
    MetricPoint,
    Point,
    RunRecord,
    RunToWrite,
    Status,
    StudyRecord,
    is_superseded,
)
from study.tracking.store_address import given_address
from study.tracking.store_errors import StoreError, reason, shown, speaking

# MLflow would try ten times, for 102 s, to reach a database that is not there.
mlflow.store.db.utils.MAX_RETRY_COUNT = 3

SINGLE_RUNS = "train"  # the experiment of `longlag train`
STUDY_TAG = "longlag.study"  # which study an experiment is, whatever it is named by now
_BATCH = 1000  # metric points a call, the store's own limit
_PAGE = 1000
_NAMED = 5  # runs, where none is the one that was asked for


_FAILURES = (MlflowException, SQLAlchemyError, sqlite3.Error, OSError)


class Store:
    """An MLflow tracking store. ``notices`` are what a user should hear of it, a line each.

    ``root`` is the folder of a local store: its files are found there, whatever path was recorded.
    """

    def __init__(self, uri: str, root: Path | None = None) -> None:
        self.uri, self.root = uri, root
        self.notices: list[str] = []
        self._client = MlflowClient(tracking_uri=uri)

    @classmethod
    def open(
        cls, folder: Path | str = ".", create: bool = False, relocate: bool = False
    ) -> "Store":
        """The store of a folder, ``mlruns/mlflow.db``, or the one that MLFLOW_TRACKING_URI names.

        To write into it says ``create``, which makes it if need be; to serve its files ``relocate``.
        Both record where they are now, for MLflow, where the folder was moved or copied. Only to be
        read, nothing is written. Raises UserError when there is none or it cannot be opened.
        """
        logging.getLogger("alembic").setLevel(logging.WARNING)
        # What goes wrong is told here, once, in one line, and without a password.
        logging.getLogger("mlflow").setLevel(logging.CRITICAL)
        if uri := given_address(create):
            with _opening(uri):
                store = cls(uri)
                store._client.search_experiments(max_results=1)
            return store
        root = Path(folder).resolve() / FOLDER
        with _opening(str(root / database.NAME)):
            return cls._local(root, create, relocate)

    @classmethod
    def _local(cls, root: Path, create: bool, relocate: bool) -> "Store":
        file, moved = root / database.NAME, None
        with ExitStack() as held:
            if create:
                database.make_folder(root, held)
            if file.exists() and not create and not database.writable(root):
                kept = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="longlag-")))
                file = database.copy(root, kept)
            with ExitStack() as locked:
                if root.is_dir():
                    locked.enter_context(database.alone(root))
                if not create and not database.is_there(file):
                    raise UserError(
                        f"no store at {root / database.NAME}; run a sweep in this folder first, "
                        "such as 'longlag sweep quickstart'"
                    )
                if create or (relocate and file.parent == root):
                    moved = database.prepare(root, _make_tables)
                store = cls(_sqlite(held.enter_context(database.plain_path(file))), root)
                store._client.search_experiments(max_results=1)
            weakref.finalize(store, held.pop_all().close)
        if moved:
            store.notices.append(
                f"this store was in {moved}; everything in it now points to {root}, where it is"
            )
        return store

    # Writing

    def experiment(self, name: str, tags: Mapping[str, str]) -> str:
        """The id of the experiment, made if need be, with these tags.

        Raises UserError when it was deleted in MLflow.
        """
        found = self._find(name)
        if found is None:
            location = None if self.root is None else recorded(self.root / ARTIFACTS / name)
            try:
                self._client.create_experiment(name, artifact_location=location)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":  # as by another driver, just now
                    raise
            found = self._client.get_experiment_by_name(name)
        experiment_id, present = found.experiment_id, found.tags
        for key, value in tags.items():
            if present.get(key) != value:
                self._client.set_experiment_tag(experiment_id, key, value)
        return str(experiment_id)

    def write(self, experiment_id: str, run: RunToWrite) -> str:
        """Write a run, or complete it when one with its key is there. Returns its id."""
        run_id, present = self._find_or_create(experiment_id, run)
        params = [Param(k, str(v)) for k, v in run.params.items() if k not in present.data.params]
        tags = [RunTag(k, str(v)) for k, v in run.tags.items()]
        points = [Metric(p.key, p.value, p.timestamp_ms, p.step) for p in run.points]
        self._client.log_batch(run_id, params=params, tags=tags, synchronous=True)
        for start in range(0, len(points), _BATCH):
            self._client.log_batch(run_id, metrics=points[start : start + _BATCH], synchronous=True)
        self._write_files(present, run.files)
        if run.status != "RUNNING":
            self._client.set_terminated(run_id, status=run.status, end_time=run.end_ms)
        elif present.info.status != "RUNNING":
            self._client.update_run(run_id, status="RUNNING")
        return run_id

    def _write_files(self, run: Run, files: Mapping[str, bytes]) -> None:
        if not files:
            return
        if (folder := self._folder(run)) is not None:
            put(files, folder)
            return
        with tempfile.TemporaryDirectory() as local:
            for name, content in files.items():
                (Path(local) / name).write_bytes(content)
            self._client.log_artifacts(run.info.run_id, local)

    def update(
        self, run_id: str, points: Sequence[Point] = (), tags: Mapping[str, str] | None = None
    ) -> None:
        """Add metric values and set tags of a run that exists."""
        self._client.log_batch(
            run_id,
            metrics=[Metric(p.key, p.value, p.timestamp_ms, p.step) for p in points],
            tags=[RunTag(k, v) for k, v in (tags or {}).items()],
            synchronous=True,
        )

    def finish(self, run_id: str, status: Status) -> None:
        self._client.set_terminated(run_id, status=status)

    def under(self, run_id: str, parent_id: str) -> None:
        """Make a run the child of another."""
        self._client.set_tag(run_id, PARENT, parent_id)

    def restore(self, run_id: str) -> None:
        """Bring back a run that was deleted in MLflow."""
        self._client.restore_run(run_id)

    def _find_or_create(self, experiment_id: str, run: RunToWrite) -> tuple[str, Run]:
        # Names and labels may hold no quotes, so keys hold none.
        found = self._client.search_runs(
            [experiment_id],
            filter_string=f"tags.trial_key = '{run.key}'",
            order_by=["attributes.start_time DESC"],
            max_results=_PAGE,
        )
        # A trial that was run anew has left its first run as it was. An arm's run can be taken up again.
        usable = (r for r in found if not (run.parent_id and is_superseded(r.data.tags)))
        if there := next(usable, None):
            return there.info.run_id, there
        tags = {**context_tags(), **run.tags, "trial_key": run.key}
        if run.parent_id:
            tags[PARENT] = run.parent_id
        created = self._client.create_run(
            experiment_id, start_time=run.start_ms, tags=tags, run_name=run.name
        )
        return created.info.run_id, created

    def optimize(self) -> None:
        """Refresh a local database's query statistics."""
        if self.root is not None:
            database.optimize(self.root / database.NAME)

    # Reading

    def studies(self) -> list[str]:
        return sorted(study.name for study in self.headings())

    def headings(self) -> list[StudyRecord]:
        """Every study, the last updated first, without its runs."""
        return [
            StudyRecord(e.name, e.experiment_id, dict(e.tags), runs=[])
            for e in self._client.search_experiments()
            if STUDY_TAG in e.tags
        ]

    def has(self, name: str) -> bool:
        """Whether there is such an experiment. Raises UserError when it was deleted in MLflow."""
        return self._find(name) is not None

    def experiment_tags(self, name: str) -> dict[str, str]:
        """As they are now; none where there is no such experiment."""
        found = self._find(name)
        return dict(found.tags) if found else {}

    def study(self, name: str) -> StudyRecord:
        """Raises UserError when it was deleted, or with the nearest known name when there is none."""
        found = self._find(name)
        if found is None:
            raise unknown("study", name, self.studies() or ["(none yet)"])
        return StudyRecord(
            name=name,
            experiment_id=found.experiment_id,
            tags=dict(found.tags),
            runs=self._records(found.experiment_id, ViewType.ACTIVE_ONLY),
        )

    def deleted(self, experiment_id: str) -> list[RunRecord]:
        """The runs that were deleted in MLflow, and can be brought back."""
        return self._records(experiment_id, ViewType.DELETED_ONLY)

    def _find(self, name: str) -> Experiment | None:
        """By its name, or as the study that it was before somebody renamed it."""
        named = self._client.get_experiment_by_name(name)
        found = [named] if named else []
        if named is None or named.lifecycle_stage == "deleted":
            found += self._client.search_experiments(
                view_type=ViewType.ALL, filter_string=f"tags.`{STUDY_TAG}` = '{name}'"
            )
        there = [experiment for experiment in found if experiment.lifecycle_stage != "deleted"]
        if found and not there:
            number = found[0].experiment_id
            python = shlex.quote(sys.executable)
            where = f"MLFLOW_TRACKING_URI={shlex.quote(self.uri)} " if self.root else ""
            raise UserError(
                f"{name!r} was deleted in MLflow; bring it back with `{where}{python} -m mlflow experiments "
                f"restore --experiment-id {number}`, or sweep under a new name (--as NAME)"
            )
        if there and there[0].name != name:
            told = (
                f"study {name!r} has been renamed in MLflow to {there[0].name!r}, and is read there"
            )
            if told not in self.notices:
                self.notices.append(told)
        return there[0] if there else None

    def _records(self, experiment_id: str, view: str) -> list[RunRecord]:
        runs = self._runs(experiment_id, view)
        return [
            _record(r) for r in sorted(runs, key=lambda r: (r.info.start_time, r.info.run_name))
        ]

    def histories(self, run_ids: Sequence[str], keys: Sequence[str]) -> list[MetricPoint]:
        """Every recorded point of those metrics of those runs, by run, key and step."""
        return [
            MetricPoint(run_id, key, metric.step, metric.value)
            for run_id in run_ids
            for key in keys
            for metric in sorted(
                self._client.get_metric_history(run_id, key), key=lambda m: (m.step, m.timestamp)
            )
        ]

    def newest(self, experiment: str) -> str:
        """The id of its last finished run. Raises UserError when there is none."""
        found = self._client.get_experiment_by_name(experiment)
        runs = found and self._client.search_runs(
            [found.experiment_id],
            filter_string="attributes.status = 'FINISHED'",
            max_results=1,
            order_by=["attributes.start_time DESC"],
        )
        if not runs:
            raise UserError(
                f"no finished run of experiment {experiment!r} in this store; train one first, such "
                "as `longlag train --set task.name=hello`"
            )
        return str(runs[0].info.run_id)

    def run(self, experiment: str, start: str) -> str:
        """The id of the run that has it, in whatever experiment, or of the only one of this
        experiment whose id begins so. Raises UserError, naming the last ones, when there is none."""
        with suppress(MlflowException):
            return str(self._client.get_run(start).info.run_id)
        found = self._client.get_experiment_by_name(experiment)
        runs = list(self._runs(found.experiment_id)) if found else []
        matching = [run for run in runs if start and run.info.run_id.startswith(start)]
        if len(matching) == 1:
            return str(matching[0].info.run_id)
        last = sorted(matching or runs, key=lambda run: -run.info.start_time)[:_NAMED]
        told = ", ".join(f"{run.info.run_id[:8]} ({run.info.run_name})" for run in last)
        what = f"{len(matching)} runs have ids that begin with" if matching else "no run has the id"
        raise UserError(
            f"{what} {start!r}; the last of experiment {experiment!r}: {told or 'none'}"
        )

    def tags(self, run_id: str) -> dict[str, str]:
        return dict(self._client.get_run(run_id).data.tags)

    def artifacts_of(self, run_id: str) -> str:
        """Where a run's files are: a folder, or an address of the server's."""
        run = self._client.get_run(run_id)
        return str(self._folder(run) or run.info.artifact_uri)

    @contextmanager
    def artifact(self, run_id: str, path: str) -> Iterator[Path]:
        """An artifact of a run as a file for a while. Raises UserError when there is none of that
        name."""
        with tempfile.TemporaryDirectory() as downloaded:
            try:
                folder = self._folder(self._client.get_run(run_id))
                local = (
                    folder / path
                    if folder is not None
                    else Path(self._client.download_artifacts(run_id, path, downloaded))
                )
                there = local.is_file()
            except _FAILURES:
                there = False
            if not there:
                raise UserError(f"run {run_id} has no artifact {path!r}")
            yield local

    def artifact_text(self, run_id: str, path: str) -> str:
        """A text artifact of a run. Raises UserError when there is none of that name."""
        with self.artifact(run_id, path) as file:
            return file.read_text(encoding="utf-8")

    def _folder(self, run: Run) -> Path | None:
        """Where a run's files are in this folder's store; None when they are elsewhere."""
        return None if self.root is None else place(self.root, run.info.artifact_uri)

    def _runs(self, experiment_id: str, view: str = ViewType.ACTIVE_ONLY) -> Iterable[Run]:
        token: str | None = None
        while True:
            page = self._client.search_runs(
                [experiment_id], run_view_type=view, max_results=_PAGE, page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return


speaking(Store, _FAILURES)


@contextmanager
def _opening(what: str) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # whatever a database or a server throws
        told = reason(error, what)
        raise StoreError(f"cannot open the store {shown(what)}: {told}") from None


def _make_tables(file: Path) -> None:
    """MLflow's tables in a new database."""
    with database.plain_path(file) as path:
        client = MlflowClient(tracking_uri=_sqlite(path))
        try:
            client.search_experiments(max_results=1)
        finally:
            client._tracking_client.store.engine.dispose()  # it is to be moved


def _sqlite(path: Path) -> str:
    return f"sqlite:///{path}"


def _record(run: Run) -> RunRecord:
    tags = dict(run.data.tags)
    return RunRecord(
        run_id=run.info.run_id,
        name=run.info.run_name,
        parent_id=tags.get(PARENT),
        status=run.info.status,
        tags=tags,
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        start_ms=run.info.start_time,
        end_ms=run.info.end_time,
    )
