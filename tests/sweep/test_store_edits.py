"""What somebody deletes or edits in MLflow while a study rests: told by name, and survived."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from test_sweep import (
    ONE_ARM,
    Inline,
    check_complete,
    copy_database,
    draws,
    empty_store,
    folder,
    runs,
    space,
    sweep,
)

from analysis.data.runs import read_study
from analysis.report.page import write_report
from study.base.errors import UserError
from study.spaces.space import Space
from study.sweep.driver import Sweep
from study.tracking.run_record import RunRecord
from study.tracking.store import Store

__all__ = ["empty_store", "folder"]  # fixtures


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> tuple[Space, Path]:
    """A finished study of one arm: two trials, a confirmation."""
    place = tmp_path_factory.mktemp("made")
    (place / "mlruns").mkdir()
    copy_database(empty_store, place)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("study.sweep.driver.LocalPool", Inline)
        patch.setattr("study.tasks.synthetic_task.VALIDATION_SEQUENCES", 50)
        patch.setattr("study.tasks.synthetic_task.TEST_SEQUENCES", 50)
        s = space(place, ONE_ARM, 2)
        sweep(s, place)
    return s, place


@pytest.fixture
def study_of(made: tuple[Space, Path], folder: Path) -> tuple[Space, Path]:
    s, place = made
    shutil.rmtree(folder / "mlruns")
    shutil.copytree(place / "mlruns", folder / "mlruns")
    Store.open(folder, create=True)  # what is told of the copy is told now
    return s, folder


def one(folder: Path, role: str) -> RunRecord:
    return runs(folder, role)[0]


def client(folder: Path) -> MlflowClient:
    return MlflowClient(Store.open(folder).uri)


def reported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("analysis.report.page.in_order", list)  # figures are tested elsewhere
    return write_report(Store.open(folder), "tiny", folder / "report").read_text("utf-8")


def test_an_arms_deleted_run_comes_back_with_its_trials(study_of: tuple[Space, Path]) -> None:
    s, folder = study_of
    arm = one(folder, "arm")
    client(folder).delete_run(arm.run_id)
    warnings = sweep(s, folder).warnings
    assert warnings == [f"{arm.name} had been deleted in MLflow and is back"]
    assert one(folder, "arm").run_id == arm.run_id
    check_complete(s, folder)
    assert Inline.submitted == []
    assert sweep(s, folder).warnings == []


def gone_for_good(folder: Path, run_id: str) -> None:
    """As `mlflow gc` does."""
    client(folder).delete_run(run_id)
    client(folder)._tracking_client.store._hard_delete_run(run_id)


def test_an_arms_run_that_is_gone_for_good_is_made_anew_over_its_trials(
    study_of: tuple[Space, Path],
) -> None:
    s, folder = study_of
    arm = one(folder, "arm")
    gone_for_good(folder, arm.run_id)
    (told,) = sweep(s, folder).warnings
    assert told.startswith(f"{arm.name}: its run in MLflow is another")
    assert "3 of its trials and confirmations" in told
    check_complete(s, folder)
    assert Inline.submitted == []


def test_an_arms_run_that_an_earlier_version_doubled_counts_once(
    study_of: tuple[Space, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    s, folder = study_of
    arm = one(folder, "arm")
    tags = {k: v for k, v in arm.tags.items() if k != "mlflow.runName"}
    experiment = Store.open(folder).study("tiny").experiment_id
    twin = client(folder).create_run(experiment, tags=tags, run_name=arm.name).info.run_id
    page = reported(folder, monkeypatch)
    results = read_study(Store.open(folder), "tiny")
    assert list(results.arms["arm_run_id"]) == [arm.run_id]  # all trials are under it
    assert any(twin in notice for notice in results.notices)
    assert arm.run_id in page
    warnings = sweep(s, folder).warnings
    assert any("has two runs in MLflow" in w for w in warnings)
    assert len(read_study(Store.open(folder), "tiny").arms) == 1
    assert sweep(s, folder).warnings == []


def test_a_deleted_trial_comes_back(study_of: tuple[Space, Path]) -> None:
    s, folder = study_of
    trial = one(folder, "trial")
    client(folder).delete_run(trial.run_id)
    assert sweep(s, folder).warnings == [f"{trial.name} had been deleted in MLflow and is back"]
    check_complete(s, folder)
    assert Inline.submitted == []


def test_a_trial_that_is_gone_for_good_is_run_again(study_of: tuple[Space, Path]) -> None:
    s, folder = study_of
    before, trial = draws(folder), one(folder, "trial")
    gone_for_good(folder, trial.run_id)
    (told,) = sweep(s, folder).warnings
    assert told.startswith(f"{trial.name} ended before")
    number = trial.tags["number"]
    assert Inline.submitted == [f"tiny/lstm/{number}/1"]
    check_complete(s, folder)
    assert draws(folder) == before
    again = next(r for r in runs(folder, "trial") if r.tags["number"] == number)
    assert again.metrics["score"] == trial.metrics["score"]


def test_a_deleted_confirmation_comes_back_and_counts_once(
    study_of: tuple[Space, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    s, folder = study_of
    confirmation = one(folder, "confirmation")
    client(folder).delete_run(confirmation.run_id)
    (told,) = sweep(s, folder).warnings
    assert confirmation.name in told
    assert Inline.submitted == []
    # One that was run again meanwhile, and then restored.
    client(folder).delete_run(confirmation.run_id)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "deleted", lambda *_: [])
        sweep(s, folder)
    assert len(Inline.submitted) == 1
    client(folder).restore_run(confirmation.run_id)
    assert len(runs(folder, "confirmation")) == 2
    assert len(read_study(Store.open(folder), "tiny").confirmations) == 1
    sweep(s, folder)
    assert one(folder, "arm").metrics["confirmed/runs"] == 1


def test_a_deleted_experiment_stays_deleted_until_it_is_restored(
    study_of: tuple[Space, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    s, folder = study_of
    experiment = Store.open(folder).study("tiny").experiment_id
    client(folder).delete_experiment(experiment)
    for use in (lambda: sweep(s, folder), lambda: read_study(Store.open(folder), "tiny")):
        with pytest.raises(UserError, match="'tiny' was deleted in MLflow") as told:
            use()
        assert "\n" not in str(told.value)
        assert "--as NAME" in str(told.value)
    assert client(folder).get_experiment(experiment).lifecycle_stage == "deleted"
    command = str(told.value).split("`")[1]
    assert subprocess.run(command, shell=True, capture_output=True).returncode == 0
    sweep(s, folder)
    check_complete(s, folder)
    assert Inline.submitted == []


def test_a_renamed_experiment_is_gone_on_with(study_of: tuple[Space, Path]) -> None:
    s, folder = study_of
    store = Store.open(folder)
    client(folder).rename_experiment(store.study("tiny").experiment_id, "an older one")
    assert sweep(s, folder).warnings == [
        "study 'tiny' has been renamed in MLflow to 'an older one', and is read there"
    ]
    assert Inline.submitted == []
    assert {e.name for e in client(folder).search_experiments()} == {"Default", "an older one"}
    assert len(read_study(Store.open(folder), "tiny").trials) == 2
    assert len(read_study(Store.open(folder), "an older one").trials) == 2


TAGS = ("outcome", "number", "trial_key", "role", "arm", "task.card", "axis.network", "study")


def lacks(tag: str) -> Callable[[MlflowClient, str], None]:
    return lambda client, run: client.delete_tag(run, tag)


def has(tag: str, value: str) -> Callable[[MlflowClient, str], None]:
    return lambda client, run: client.set_tag(run, tag, value)


EDITS = {f"no {tag}": lacks(tag) for tag in TAGS} | {
    "outcome that is none": has("outcome", "won"),
    "number that is none": has("number", "x"),
    "half a card": has("task.card", '{"name": '),
    "a list as card": has("task.card", "[1]"),
    "a card of other kinds": has(
        "task.card", '{"title": 3, "plateaus": "x", "metric": 5, "length": "x", "steps": []}'
    ),
    "a best trial that there is not": has("best_trial_key", "tiny/lstm/77/1"),
    "another parent": has("mlflow.parentRunId", "0" * 32),
    "a colour that is none": has("mlflow.runColor", "blue?"),
}


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> tuple[Space, Path]:
    """A finished study with an arm for each edit: a trial and a confirmation."""
    place = tmp_path_factory.mktemp("many")
    (place / "mlruns").mkdir()
    copy_database(empty_store, place)
    arms = "".join(f'a{i} = {{{{ model.cell = "elman" }}}}\n' for i in range(len(EDITS)))
    text = ONE_ARM.replace('lstm = {{ model.cell = "lstm" }}\n', arms)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("study.sweep.driver.LocalPool", Inline)
        patch.setattr("study.tracking.trial_record.gradient_flow_picture", lambda *_: b"png")
        patch.setattr("study.tasks.synthetic_task.VALIDATION_SEQUENCES", 50)
        patch.setattr("study.tasks.synthetic_task.TEST_SEQUENCES", 50)
        s = space(place, text, 1, 5)
        sweep(s, place)
    return s, place


@pytest.mark.parametrize("role", ["arm", "trial", "confirmation"])
def test_edits_are_survived(
    many: tuple[Space, Path], folder: Path, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    s, place = many
    shutil.rmtree(folder / "mlruns")
    shutil.copytree(place / "mlruns", folder / "mlruns")
    Store.open(folder, create=True)
    mlflow = client(folder)
    edited = {}
    found = {r.tags["arm"]: r for r in runs(folder, role)}
    for number, (what, edit) in enumerate(EDITS.items()):
        run = edited[what] = found[f"a{number}"]
        if not what.startswith("no ") or what.removeprefix("no ") in run.tags:
            edit(mlflow, run.run_id)
    assert "tiny" in reported(folder, monkeypatch)
    last = sweep(s, folder)
    assert last.left == 0
    for what, run in edited.items():
        counts = what.removeprefix("no ") in ("outcome", "number", "trial_key") or what in (
            "outcome that is none",
            "number that is none",
        )
        told = any(f"run {run.run_id[:8]}, is passed over" in w for w in last.warnings)
        assert told == (counts and role != "arm"), what
    results = read_study(Store.open(folder), "tiny")
    for table in (results.arms, results.trials, results.confirmations):
        assert sorted(table["arm"]) == sorted(f"a{i}" for i in range(len(EDITS)))
    assert set(results.trials["outcome"]) | set(results.confirmations["outcome"]) <= {
        "solved",
        "budget",
        "diverged",
    }
    assert "tiny" in reported(folder, monkeypatch)
    submitted = len(Inline.submitted)
    assert sweep(s, folder).left == 0
    assert len(Inline.submitted) == submitted


def test_a_study_whose_every_trial_is_gone_is_refused(study_of: tuple[Space, Path]) -> None:
    s, folder = study_of
    for run in runs(folder, "trial"):
        gone_for_good(folder, run.run_id)
    with pytest.raises(UserError, match="put the store back"):
        next(Sweep(s, folder, 1).run())
