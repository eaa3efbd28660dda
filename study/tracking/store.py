"""The MLflow store: how it is opened, and what is written into it.

Only this file and `reading`, which it stands on, import mlflow.

Experiment = study, parent run = arm, child run = trial. Writing a trial again finds its run by the
tag ``trial_key`` and completes it, so that a replay after a crash makes no second one.

Every method raises `StoreError` when the store cannot be reached, read or written.
"""

import logging
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException

from study.base.errors import UserError
from study.tracking import database
from study.tracking.provenance import context_tags
from study.tracking.reading import FAILURES, PAGE, Reader
from study.tracking.relocation import ARTIFACTS, FOLDER, put, recorded
from study.tracking.run_record import (
    PARENT,
    Point,
    RunToWrite,
    Status,
    is_superseded,
)
from study.tracking.store_address import given_address
from study.tracking.store_errors import StoreError, reason, shown, speaking

SINGLE_RUNS = "train"  # the experiment of `longlag train`
_BATCH = 1000  # metric points a call, the store's own limit


class Store(Reader):
    """An MLflow tracking store, opened to be read or written."""

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
        for name in ("mlflow", "psycopg"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
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
                self._tag(experiment_id, key, value)
        return str(experiment_id)

    def _tag(self, experiment_id: str, key: str, value: str) -> None:
        """Two that give a tag its first value at once: MLflow has one of them fail."""
        try:
            self._client.set_experiment_tag(experiment_id, key, value)
        except MlflowException:
            self._client.set_experiment_tag(experiment_id, key, value)

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

    def add_files(self, run_id: str, files: Mapping[str, bytes]) -> None:
        """Artifacts of a run that exists; one of that name is replaced."""
        self._write_files(self._client.get_run(run_id), files)

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
            max_results=PAGE,
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


speaking(Store, FAILURES)


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
