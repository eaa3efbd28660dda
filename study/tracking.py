"""The MLflow store: the only file that imports mlflow.

Experiment = study, parent run = arm, child run = trial. Writing a trial again finds its run by the
tag ``trial_key`` and completes it, so that a replay after a crash makes no second one.
"""

import fcntl
import logging
import os
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from getpass import getuser
from pathlib import Path
from typing import Any, Literal

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # all read when mlflow is imported
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# A server that is away is noticed in seconds, not minutes: a sweep keeps what it could not write.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag, ViewType
from mlflow.exceptions import MlflowException

import study
from study.errors import UserError, unknown
from study.store_address import given_address, refusal

FOLDER = "mlruns"
SINGLE_RUNS = "train"  # the experiment of `longlag train`
_BATCH = 1000  # metric points a call, the store's own limit
_PAGE = 1000
_NAMED = 5  # runs, where none is the one that was asked for

Status = Literal["FINISHED", "FAILED", "KILLED", "RUNNING"]


@dataclass(frozen=True)
class RunRecord:
    """One run as read back; ``parent_id`` is None for an arm and for a run of `longlag train`."""

    run_id: str
    name: str
    parent_id: str | None
    status: str
    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[str, float]
    start_ms: int
    end_ms: int | None


@dataclass(frozen=True)
class MetricPoint:
    run_id: str
    key: str
    step: int
    value: float


@dataclass(frozen=True)
class StudyRecord:
    """An experiment with its runs, oldest first; deleted runs are left out."""

    name: str
    experiment_id: str
    tags: dict[str, str]
    runs: list[RunRecord]


@dataclass(frozen=True)
class Point:
    """A metric value to write; timestamps are the recorded ones, so that a replay doubles nothing."""

    key: str
    value: float
    step: int
    timestamp_ms: int


@dataclass
class RunToWrite:
    """Everything about one finished run."""

    key: str
    name: str
    status: Status
    start_ms: int
    end_ms: int
    parent_id: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)


class Store:
    """An MLflow tracking store."""

    def __init__(self, uri: str, artifacts: Path | None) -> None:
        self.uri = uri
        self._artifacts = artifacts
        self._client = MlflowClient(tracking_uri=uri)

    @classmethod
    def open(cls, folder: Path | str = ".", create: bool = False) -> "Store":
        """The store of a folder, ``mlruns/mlflow.db``, or the one that MLFLOW_TRACKING_URI names.

        Raises UserError when it does not exist (unless ``create``) or cannot be opened.
        """
        logging.getLogger("alembic").setLevel(logging.WARNING)
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        if uri := given_address(create):
            artifacts = None
        else:
            root = Path(folder).resolve() / FOLDER
            database = root / "mlflow.db"
            if not create and not database.exists():
                raise UserError(
                    f"no store at {database}; run a sweep in this folder first, such as "
                    "'longlag sweep quickstart'"
                )
            try:
                root.mkdir(parents=True, exist_ok=True)
                with _alone(root):
                    _prepare(root, database)
            except (OSError, sqlite3.Error) as error:
                raise UserError(f"cannot open the store {database}: {error}") from None
            uri, artifacts = f"sqlite:///{database}", root / "artifacts"
        try:
            with nullcontext() if artifacts is None else _alone(artifacts.parent):
                store = cls(uri, artifacts)
                store._client.search_experiments(max_results=1)
        except Exception as error:  # whatever a database or a server throws
            raise refusal(uri, error) from None
        return store

    # Writing

    def experiment(self, name: str, tags: Mapping[str, str]) -> str:
        """The id of the experiment, made if need be, with these tags."""
        found = self._client.get_experiment_by_name(name)
        if found is None:
            location = None if self._artifacts is None else str(self._artifacts / name)
            experiment_id = self._client.create_experiment(name, artifact_location=location)
        else:
            if found.lifecycle_stage == "deleted":
                self._client.restore_experiment(found.experiment_id)
            experiment_id = found.experiment_id
        present = found.tags if found else {}
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
        self.write_files(run_id, run.files)
        if run.status != "RUNNING":
            self._client.set_terminated(run_id, status=run.status, end_time=run.end_ms)
        elif present.info.status != "RUNNING":
            self._client.update_run(run_id, status="RUNNING")
        return run_id

    def write_files(self, run_id: str, files: Mapping[str, bytes]) -> None:
        if not files:
            return
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                (Path(folder) / name).write_bytes(content)
            self._client.log_artifacts(run_id, folder)

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

    def _find_or_create(self, experiment_id: str, run: RunToWrite) -> tuple[str, Run]:
        # Names and labels may hold no quotes, so keys hold none.
        found = self._client.search_runs(
            [experiment_id], filter_string=f"tags.trial_key = '{run.key}'", max_results=1
        )
        if found:
            return found[0].info.run_id, found[0]
        tags = {**context_tags(), **run.tags, "trial_key": run.key}
        if run.parent_id:
            tags["mlflow.parentRunId"] = run.parent_id
        created = self._client.create_run(
            experiment_id, start_time=run.start_ms, tags=tags, run_name=run.name
        )
        return created.info.run_id, created

    def optimize(self) -> None:
        """Refresh SQLite's query statistics, which speeds up metric histories many times over."""
        if self.uri.startswith("sqlite:///"):
            with sqlite3.connect(self.uri.removeprefix("sqlite:///")) as connection:
                connection.execute("PRAGMA analysis_limit=1000")
                connection.execute("ANALYZE")

    # Reading

    def studies(self) -> list[str]:
        return sorted(study.name for study in self.headings())

    def headings(self) -> list[StudyRecord]:
        """Every study, the last updated first, without its runs."""
        return [
            StudyRecord(e.name, e.experiment_id, dict(e.tags), runs=[])
            for e in self._client.search_experiments()
            if "longlag.study" in e.tags
        ]

    def study(self, name: str) -> StudyRecord:
        """Raises UserError, with the nearest known name, when there is no such study."""
        found = self._client.get_experiment_by_name(name)
        if found is None or found.lifecycle_stage == "deleted":
            raise unknown("study", name, self.studies() or ["(none yet)"])
        runs = sorted(
            self._runs(found.experiment_id), key=lambda r: (r.info.start_time, r.info.run_name)
        )
        return StudyRecord(
            name=name,
            experiment_id=found.experiment_id,
            tags=dict(found.tags),
            runs=[_record(run) for run in runs],
        )

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
        return str(self._client.get_run(run_id).info.artifact_uri)

    @contextmanager
    def artifact(self, run_id: str, path: str) -> Iterator[Path]:
        """An artifact of a run as a file for a while. Raises UserError when there is none of that
        name."""
        with tempfile.TemporaryDirectory() as folder:
            try:
                local = self._client.download_artifacts(run_id, path, folder)
            except (MlflowException, OSError):
                raise UserError(f"run {run_id} has no artifact {path!r}") from None
            yield Path(local)

    def artifact_text(self, run_id: str, path: str) -> str:
        """A text artifact of a run. Raises UserError when there is none of that name."""
        with self.artifact(run_id, path) as file:
            return file.read_text(encoding="utf-8")

    def _runs(self, experiment_id: str) -> Iterable[Run]:
        token: str | None = None
        while True:
            page = self._client.search_runs(
                [experiment_id],
                run_view_type=ViewType.ACTIVE_ONLY,
                max_results=_PAGE,
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                return


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time: two that make a new database or its tables disturb each other."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def check_folder(root: Path) -> None:
    """Raises UserError when nothing can be written there. It is not made: what is refused after this
    leaves no folder."""
    there = root
    while not os.path.lexists(there):
        there = there.parent
    if not there.is_dir():
        raise UserError(f"cannot write to {root}: {there} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"cannot write to {root}: permission denied")


def _prepare(root: Path, database: Path) -> None:
    connection = sqlite3.connect(database, timeout=20)  # seconds, as MLflow waits
    try:
        # Write-ahead logging lets the UI read while a sweep writes; it stays set in the file.
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()
    (root / "artifacts").mkdir(exist_ok=True)


def _record(run: Run) -> RunRecord:
    tags = dict(run.data.tags)
    return RunRecord(
        run_id=run.info.run_id,
        name=run.info.run_name,
        parent_id=tags.get("mlflow.parentRunId"),
        status=run.info.status,
        tags=tags,
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        start_ms=run.info.start_time,
        end_ms=run.info.end_time,
    )


@lru_cache(maxsize=1)
def context_tags() -> dict[str, str]:
    """Who ran which code: MLflow's own tags, which its client does not add, and versions."""
    import torch

    tags = {
        "mlflow.source.name": "longlag",
        "mlflow.source.type": "LOCAL",
        "version.longlag": study.__version__,
        "version.torch": torch.__version__,
        "version.mlflow": mlflow.__version__,
    }
    with suppress(OSError, KeyError):  # a container may have no name for its user
        tags["mlflow.user"] = getuser()
    code = Path(__file__).resolve().parent.parent
    if commit := _git(code, "rev-parse", "HEAD"):
        tags["mlflow.source.git.commit"] = commit
        tags["code.modified"] = str(bool(_git(code, "status", "--porcelain", "-uno"))).lower()
    return tags


def _git(folder: Path, *arguments: str) -> str:
    if not (folder / ".git").exists():
        return ""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
