"""A study of a store on its way into a file."""

from collections.abc import Sequence
from pathlib import Path

from study.base.errors import UserError
from study.tracking.relocation import FOLDER
from study.tracking.run_record import Point, RunRecord, StudyRecord, is_superseded
from study.tracking.store import Store
from study.tracking.store_errors import reason
from study.travel.format import Manifest
from study.travel.study_file import Carried, write

SPACE = "space.json"
_LEAN_ROLES = ("confirmation", "arm")
# Of MLflow itself: where a run is shown, who began it. What tells the code stays.
_LEFT = (
    "mlflow.user",
    "mlflow.parentRunId",
    "mlflow.runName",
    "mlflow.artifacts",
    "mlflow.log-model",
)


def export(
    store: Store,
    names: Sequence[str],
    path: Path,
    version: str,
    folder: Path = Path(),
    *,
    lean: bool = False,
) -> Manifest:
    """Write these studies into one file. ``lean`` leaves out what only a single run's page shows.

    ``version`` is longlag's; ``folder`` has the journals.

    Raises UserError when a study is not there, or the file is there already or cannot be written.
    """
    if path.exists():
        raise UserError(f"{path} is there already; give another name, or remove it first")
    if not path.parent.is_dir():
        raise UserError(f"no such folder: {path.parent}")
    records = [store.study(name) for name in names]
    for name, record in zip(names, records, strict=True):
        if not any(run.tags.get("role") == "arm" for run in record.runs):
            raise UserError(f"study {name!r} has no runs yet")
    try:
        carried = (
            _carried(store, name, record, folder, lean)
            for name, record in zip(names, records, strict=True)
        )
        return write(path, carried, version, lean)
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"cannot write {path}: {reason(error)}") from None


def _carried(store: Store, name: str, record: StudyRecord, folder: Path, lean: bool) -> Carried:
    runs = [_without_place(run) for run in record.runs if _travels(run)]
    chosen = {run.tags.get("best_trial_key") for run in runs}
    journal = folder.resolve() / FOLDER / "optuna" / f"{name}.journal"
    points, files = {}, {}
    for run in runs:
        shown = run.tags.get("role") in _LEAN_ROLES or run.tags.get("trial_key") in chosen
        points[run.run_id] = _last(run, store) if lean and not shown else store.points(run.run_id)
        wanted = store.files(run.run_id)
        if lean:
            wanted = [SPACE] if run.tags.get("role") == "arm" and SPACE in wanted else []
        files[run.run_id] = {file: store.artifact_bytes(run.run_id, file) for file in wanted}
    return Carried(
        name=name,
        tags={k: v for k, v in record.tags.items() if not k.startswith(("mlflow.", "longlag."))},
        runs=runs,
        points=points,
        files=files,
        journal=journal.read_bytes() if journal.is_file() else b"",
    )


def _travels(run: RunRecord) -> bool:
    return bool(run.tags.get("trial_key")) and not is_superseded(run.tags)


def _last(run: RunRecord, store: Store) -> list[Point]:
    """A run's single numbers, without its curves."""
    return [point for point in store.last_points(run.run_id) if point.step == 0]


def _without_place(run: RunRecord) -> RunRecord:
    tags = {k: v for k, v in run.tags.items() if not k.startswith(_LEFT)}
    return RunRecord(**{**vars(run), "tags": tags})
