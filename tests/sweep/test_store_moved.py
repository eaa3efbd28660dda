"""A folder that was moved or copied: everything is found, and written, where it is now."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient
from test_sweep import ONE_ARM, check_complete, empty_store, folder, space, sweep

from analysis.data.runs import read_study
from analysis.report.page import write_report
from study.commands.single import train_tracked
from study.commands.tracked_network import tracked
from study.tracking.database import NAME
from study.tracking.relocation import place, relocate
from study.tracking.store import Store
from study.trial.config import TrialConfig

__all__ = ["empty_store", "folder"]  # fixtures

STRANGE = "cöpy of 100%20 # it?"
SMALL = {"task.name": "hello", "model.hidden": 2, "train.steps": 4, "train.batch": 2}


def recorded_paths(folder: Path) -> set[str]:
    with closing(sqlite3.connect(folder / "mlruns" / NAME)) as connection:
        found = connection.execute(
            "SELECT artifact_location FROM experiments UNION SELECT artifact_uri FROM runs"
        ).fetchall()
    return {text for (text,) in found}


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def swept(folder: Path) -> Path:
    """A folder with a study and a run of `longlag train`."""
    here = folder / "study"
    (here / "mlruns").mkdir(parents=True)
    shutil.copy(folder / "mlruns" / NAME, here / "mlruns" / NAME)
    sweep(
        space(here, ONE_ARM.replace('name = "tiny"', 'name = "tiny"\nquestion = "Who?"'), 1), here
    )
    train_tracked(TrialConfig.from_flat(SMALL), here, test=False)
    return here


@pytest.mark.parametrize("original_is_left", [False, True])
@pytest.mark.parametrize("name", ["plain", STRANGE])
def test_a_copy_is_read_and_goes_on_where_it_is(
    swept: Path, name: str, original_is_left: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = swept.parent / name
    shutil.copytree(swept, copy)
    if not original_is_left:
        shutil.rmtree(swept)
    before = {p: p.read_bytes() for p in swept.rglob("*") if p.is_file()}

    # To be read only, nothing is written: neither here nor there.
    there = files(copy)
    store = Store.open(copy)
    assert read_study(store, "tiny").space["question"] == "Who?"
    single = store.newest("train")
    assert "hidden = 2" in store.artifact_text(single, "config.toml")
    assert store.artifacts_of(single).startswith(str(copy.resolve()))
    model = tracked(store, None).model
    assert model is not None
    assert files(copy) - there <= {f"mlruns/{NAME}-wal", f"mlruns/{NAME}-shm"}

    more = space(copy, ONE_ARM.replace('name = "tiny"', 'name = "tiny"\nquestion = "Who?"'), 2)
    last = sweep(more, copy)
    assert [w for w in last.warnings if str(swept.resolve()) in w and str(copy) in w]
    check_complete(more, copy)
    train_tracked(TrialConfig.from_flat(SMALL), copy, test=False)
    assert str(swept) not in capsys.readouterr().out.replace(str(copy), "")

    # MLflow's own server finds every file, at the path that is recorded.
    client = MlflowClient(Store.open(copy).uri)
    for record in (*Store.open(copy).study("tiny").runs, *Store.open(copy).study("train").runs):
        wanted = "space.json" if record.tags["role"] == "arm" else "config.toml"
        assert wanted in {f.path for f in client.list_artifacts(record.run_id)}
    assert {p: p.read_bytes() for p in swept.rglob("*") if p.is_file()} == before
    assert swept.exists() == original_is_left
    assert sweep(more, copy).warnings == []


def test_the_report_of_a_moved_folder_is_that_of_the_original(
    swept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.report.page._when", lambda: "now")
    before = write_report(Store.open(swept), "tiny", swept.parent / "before").read_text("utf-8")
    moved = swept.parent / "moved"
    swept.rename(moved)
    after = write_report(Store.open(moved), "tiny", swept.parent / "after").read_text("utf-8")
    assert after == before
    assert "Who?" in after


def test_a_folder_behind_a_symlink_is_the_same(swept: Path) -> None:
    before = recorded_paths(swept)
    link = swept.parent / "link"
    link.symlink_to(swept, target_is_directory=True)
    more = space(swept, ONE_ARM.replace('name = "tiny"', 'name = "tiny"\nquestion = "Who?"'), 2)
    assert sweep(more, link).warnings == []
    assert before <= recorded_paths(swept)


def test_only_paths_of_a_store_are_rewritten(tmp_path: Path) -> None:
    database = tmp_path / NAME
    run = "0123456789abcdef" * 2
    given = {
        1: "/old/mlruns/artifacts/a",
        2: "s3://bucket/mlruns/artifacts/a",
        3: "/data/elsewhere",
        4: "/old/mlruns/artifacts/a/b",
    }
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "CREATE TABLE experiments (experiment_id INTEGER, artifact_location TEXT)"
        )
        connection.execute("CREATE TABLE runs (artifact_uri TEXT)")
        connection.executemany("INSERT INTO experiments VALUES (?, ?)", given.items())
        connection.execute(
            "INSERT INTO runs VALUES (?)", (f"/older/mlruns/artifacts/mlruns/{run}/artifacts",)
        )
    assert relocate(database, tmp_path / "mlruns") == "/old/mlruns"
    here = str(tmp_path / "mlruns")
    with closing(sqlite3.connect(database)) as connection:
        found = dict(connection.execute("SELECT * FROM experiments").fetchall())
        (uri,) = connection.execute("SELECT * FROM runs").fetchone()
    assert found == given | {1: f"{here}/artifacts/a", 4: f"{here}/artifacts/a/b"}
    assert uri == f"{here}/artifacts/mlruns/{run}/artifacts"
    assert relocate(database, tmp_path / "mlruns") is None


def test_the_place_of_a_run_is_that_below_mlruns() -> None:
    root, run = Path("/new/mlruns"), "0123456789abcdef" * 2
    for old in ("/a/mlruns", "/mlruns", "/a/mlruns/artifacts/b/mlruns", "file:///a%20b/mlruns"):
        found = place(root, f"{old}/artifacts/tiny/{run}/artifacts")
        assert found == root / "artifacts" / "tiny" / run / "artifacts", old
    assert place(root, f"/a/mlruns/0/{run}/artifacts") == root / "0" / run / "artifacts"
    for other in ("mlflow-artifacts:/1/x/artifacts", "s3://mlruns/artifacts/a", f"/data/{run}"):
        assert place(root, other) is None
