"""What an MLflow store holds: studies, their runs, and the runs' points and files.

Every method raises `StoreError` when the store cannot be reached or read.
"""

import shlex
import sqlite3
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import mlflow.store.db.utils
from mlflow import MlflowClient
from mlflow.entities import Experiment, Run, ViewType
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from study.base.errors import UserError, unknown
from study.tracking.relocation import place
from study.tracking.run_record import PARENT, MetricPoint, Point, RunRecord, StudyRecord
from study.tracking.store_errors import speaking

# MLflow would try ten times, for 102 s, to reach a database that is not there.
mlflow.store.db.utils.MAX_RETRY_COUNT = 3

STUDY_TAG = "longlag.study"  # which study an experiment is, whatever it is named by now
FAILURES = (MlflowException, SQLAlchemyError, sqlite3.Error, OSError)
PAGE = 1000  # runs a call
_NAMED = 5  # runs, where none is the one that was asked for


class Reader:
    """An MLflow tracking store, to be read. ``notices`` are what a user should hear of it, a line each.

    ``root`` is the folder of a local store: its files are found there, whatever path was recorded.
    """

    def __init__(self, uri: str, root: Path | None = None) -> None:
        self.uri, self.root = uri, root
        self.notices: list[str] = []
        self._folders: dict[str, Path | None] = {}  # a report reads many files of each run
        self._client = MlflowClient(tracking_uri=uri)

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

    def points(self, run_id: str) -> list[Point]:
        """Every recorded point of a run's metrics, with its time; of a single number the last."""
        found = self.last_points(run_id)
        curves = [point.key for point in found if point.step]
        return [point for point in found if not point.step] + [
            Point(key, metric.value, metric.step, metric.timestamp)
            for key in curves
            for metric in sorted(
                self._client.get_metric_history(run_id, key), key=lambda m: (m.step, m.timestamp)
            )
        ]

    def last_points(self, run_id: str) -> list[Point]:
        """Of each of a run's metrics the last point."""
        return [
            Point(metric.key, metric.value, metric.step, metric.timestamp)
            for metric in self._client.get_run(run_id).data._metric_objs
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

    def metrics(self, run_id: str) -> dict[str, float]:
        """The last value of each."""
        return dict(self._client.get_run(run_id).data.metrics)

    def artifacts_of(self, run_id: str) -> str:
        """Where a run's files are: a folder, or an address of the server's."""
        run = self._client.get_run(run_id)
        return str(self._folder(run) or run.info.artifact_uri)

    def files(self, run_id: str) -> list[str]:
        """The names of a run's own files; what is in folders below is left out."""
        if (folder := self._folder_of(run_id)) is not None:
            return sorted(file.name for file in folder.glob("[!.]*") if file.is_file())
        return sorted(f.path for f in self._client.list_artifacts(run_id) if not f.is_dir)

    def artifact_bytes(self, run_id: str, path: str) -> bytes:
        """An artifact of a run. Raises UserError when there is none of that name."""
        with self.artifact(run_id, path) as file:
            return file.read_bytes()

    def _folder_of(self, run_id: str) -> Path | None:
        if run_id not in self._folders:
            self._folders[run_id] = self._folder(self._client.get_run(run_id))
        return self._folders[run_id]

    @contextmanager
    def artifact(self, run_id: str, path: str) -> Iterator[Path]:
        """An artifact of a run as a file for a while. Raises UserError when there is none of that
        name."""
        with tempfile.TemporaryDirectory() as downloaded:
            try:
                folder = self._folder_of(run_id)
                local = (
                    folder / path
                    if folder is not None
                    else Path(self._client.download_artifacts(run_id, path, downloaded))
                )
                there = local.is_file()
            except FAILURES:
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
                [experiment_id], run_view_type=view, max_results=PAGE, page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return


speaking(Reader, FAILURES)


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
