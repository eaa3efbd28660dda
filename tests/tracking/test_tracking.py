"""The store: a run is written once however often it is written, and read back as it was."""

import json
import math
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow import MlflowClient
from records import record

from study.base.errors import UserError
from study.cells import CELLS
from study.probes import PROBES
from study.probes.state_gradients import Curve, LaggedGradients
from study.spaces.plan import Plan
from study.sweep.progress import ArmProgress, Ended
from study.sweep.spool import Spool
from study.tracking.messages import FIRST
from study.tracking.pictures import state_gradients_figure
from study.tracking.provenance import context_tags
from study.tracking.run_record import MetricPoint, Point, RunToWrite
from study.tracking.store import Store
from study.tracking.trial_record import TrialRecord, thin
from study.trial.config import TrialConfig


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store.open(tmp_path_factory.mktemp("store"), create=True)


def experiment(store: Store, name: str) -> str:
    return store.experiment(name, {"longlag.study": name})


def run_to_write(**changes: Any) -> RunToWrite:
    given: dict[str, Any] = {
        "key": "s/a/0/1",
        "name": "a · #0",
        "status": "FINISHED",
        "start_ms": 1000,
        "end_ms": 2000,
        "tags": {"role": "trial", "note": "ü·é"},
        "params": {"train.lr": 0.1, "task.permuted": True, "clip.name": "none"},
        "points": [Point("loss", 0.5, 0, 1100), Point("loss", 0.25, 5, 1200)],
        "files": {"config.toml": b"seed = 1\n"},
    }
    return RunToWrite(**{**given, **changes})


def test_a_run_is_read_back_as_it_was_written(store: Store) -> None:
    e = experiment(store, "round-trip")
    parent = store.write(e, run_to_write(key="s/a", name="a", status="RUNNING"))
    run_id = store.write(e, run_to_write(parent_id=parent))
    (found,) = [r for r in store.study("round-trip").runs if r.run_id == run_id]
    assert (found.name, found.parent_id, found.status) == ("a · #0", parent, "FINISHED")
    assert (found.start_ms, found.end_ms) == (1000, 2000)
    assert found.params == {"train.lr": "0.1", "task.permuted": "True", "clip.name": "none"}
    assert found.metrics == {"loss": 0.25}
    assert {"role": "trial", "note": "ü·é", "trial_key": "s/a/0/1"}.items() <= found.tags.items()
    assert store.histories([run_id], ["loss", "none"]) == [
        MetricPoint(run_id, "loss", 0, 0.5),
        MetricPoint(run_id, "loss", 5, 0.25),
    ]
    assert store.artifact_text(run_id, "config.toml") == "seed = 1\n"
    with pytest.raises(UserError, match="no artifact 'other'"):
        store.artifact_text(run_id, "other")


def test_writing_again_completes_and_doubles_nothing(store: Store) -> None:
    e = experiment(store, "again")
    partial = run_to_write(points=[], files={}, status="RUNNING")
    run_id = store.write(e, partial)
    for _ in range(2):
        assert store.write(e, run_to_write()) == run_id
    (found,) = store.study("again").runs
    assert found.status == "FINISHED"
    assert len(store.histories([run_id], ["loss"])) == 2


@pytest.mark.parametrize("key", ["s/a.b+c_d-e/0/1", "s/x,y,z/confirm-0-1", "s/%/0/1"])
def test_any_key_is_found_again(store: Store, key: str) -> None:
    e = experiment(store, "keys")
    assert store.write(e, run_to_write(key=key)) == store.write(e, run_to_write(key=key))


def test_keys_that_differ_in_case_or_by_a_wildcard_are_different_runs(store: Store) -> None:
    e = experiment(store, "case")
    ids = {store.write(e, run_to_write(key=k)) for k in ("s/lstm/0/1", "s/LSTM/0/1", "s/lst_/0/1")}
    assert len(ids) == 3


def test_studies_do_not_see_each_others_runs(store: Store) -> None:
    one, other = experiment(store, "one"), experiment(store, "other")
    assert store.write(one, run_to_write()) != store.write(other, run_to_write())
    assert len(store.study("one").runs) == 1
    assert {"one", "other"} <= set(store.studies())


def test_more_points_than_a_call_takes(store: Store) -> None:
    e = experiment(store, "many")
    points = [Point("x", float(i), i, 1000 + i) for i in range(1500)]
    run_id = store.write(e, run_to_write(points=points))
    assert [p.value for p in store.histories([run_id], ["x"])] == [float(i) for i in range(1500)]


def test_no_runs_are_left_out_beyond_a_page(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("study.tracking.reading.PAGE", 3)
    e = experiment(store, "pages")
    for i in range(8):
        store.write(e, run_to_write(key=str(i), points=[], files={}, start_ms=1000 - i))
    found = store.study("pages").runs
    assert sorted(r.tags["trial_key"] for r in found) == [str(i) for i in range(8)]
    assert [r.start_ms for r in found] == sorted(r.start_ms for r in found)


def test_deleted_runs_are_left_out_and_a_deleted_study_is_not_restored_unsaid(store: Store) -> None:
    client = MlflowClient(store.uri)
    e = experiment(store, "deleted")
    kept, gone = (store.write(e, run_to_write(key=k)) for k in "ab")
    client.delete_run(gone)
    assert [r.run_id for r in store.study("deleted").runs] == [kept]
    client.delete_experiment(e)
    for use in (store.study, lambda name: experiment(store, name)):
        with pytest.raises(UserError, match="'deleted' was deleted in MLflow"):
            use("deleted")
    client.restore_experiment(e)
    assert experiment(store, "deleted") == e
    assert kept in [r.run_id for r in store.study("deleted").runs]


def test_an_unknown_study_is_answered_with_the_nearest(store: Store) -> None:
    experiment(store, "quickstart")
    with pytest.raises(UserError, match="did you mean 'quickstart'"):
        store.study("quikstart")


def test_updating_adds_points_and_tags(store: Store) -> None:
    e = experiment(store, "update")
    run_id = store.write(e, run_to_write(status="RUNNING", points=[]))
    store.update(run_id, [Point("m", 1.0, 1, 1000)], {"t": "x"})
    store.update(run_id, [Point("m", 2.0, 2, 2000)])
    (found,) = store.study("update").runs
    assert (found.metrics["m"], found.tags["t"], found.status) == (2.0, "x", "RUNNING")
    store.finish(run_id, "KILLED")
    assert store.study("update").runs[0].status == "KILLED"


def test_the_database_lets_readers_read_while_it_is_written(store: Store) -> None:
    store.optimize()
    with sqlite3.connect(store.uri.removeprefix("sqlite:///")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_context_says_which_code_ran() -> None:
    tags = context_tags()
    assert {"version.longlag", "version.torch", "version.mlflow"} <= tags.keys()
    assert all(isinstance(v, str) and v for v in tags.values())


def test_processes_may_make_the_same_new_store(tmp_path: Path) -> None:
    # They wait for each other, so that all open it in the same moment.
    code = """if True:
    import sys, time
    from pathlib import Path
    from study.tracking.store import Store
    Path(f"ready-{sys.argv[1]}").touch()
    while len(list(Path().glob("ready-*"))) < 3:
        time.sleep(.001)
    Store.open('.', create=True)
    """
    command = [sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    processes = [
        subprocess.Popen(
            [*command, str(number)],
            cwd=tmp_path,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    for process in processes:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err


# Stores that cannot be opened


def test_a_store_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="longlag sweep"):
        Store.open(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "mlruns").mkdir()
    path = tmp_path / "mlruns" / "mlflow.db"
    path.write_bytes(b"this is a letter, not a database. " * 100)
    with pytest.raises(UserError, match="cannot open the store") as refusal:
        Store.open(tmp_path)
    assert "\n" not in str(refusal.value)
    assert path.read_bytes().startswith(b"this is a letter")


def test_a_folder_in_the_databases_place(tmp_path: Path) -> None:
    (tmp_path / "mlruns" / "mlflow.db").mkdir(parents=True)
    with pytest.raises(UserError, match="cannot open the store"):
        Store.open(tmp_path)


def test_somebody_elses_database(tmp_path: Path) -> None:
    (tmp_path / "mlruns").mkdir()
    with sqlite3.connect(tmp_path / "mlruns" / "mlflow.db") as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('ffffffff')")
    with pytest.raises(UserError, match="cannot open the store") as refusal:
        Store.open(tmp_path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("uri", ["nonsense://somewhere", "sqlite:////proc/nowhere/x.db", "://"])
def test_an_address_that_leads_nowhere(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="cannot open the store") as refusal:
        Store.open(tmp_path)
    assert "\n" not in str(refusal.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="cannot open the store"):
        Store.open(tmp_path, create=True)


# Records and the spool


def test_a_record_survives_the_spool(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    one = record()
    spool.put(one)
    spool.put(one)
    assert list(spool) == [one]
    (tmp_path / "spool" / "half.tmp").write_text("{")  # of a driver killed while it wrote
    assert list(Spool(tmp_path / "spool")) == [one]
    assert len(list((tmp_path / "spool").iterdir())) == 1
    (tmp_path / "spool" / "half.tmp").write_text("{")
    assert list(spool) == [one]
    spool.remove(one)
    spool.remove(one)
    assert list(spool) == []


@pytest.mark.parametrize("cell", ["lstm", max(CELLS, key=lambda name: len(CELLS[name].variables))])
def test_a_runs_curves_have_at_most_400_points_whatever_its_length(cell: str) -> None:
    one = record(**{"task.length": 300, "train.steps": 1, "model.cell": cell})
    found = next(entry for entry in one.probes if entry["probe"] == "state_gradients")
    one.probes += [{**found, "stage": "training", "step": i} for i in range(1, 100)]
    summary = len(one.summary())
    one.evaluations = [
        {
            "step": i,
            "ms": 1000 + i,
            "values": {
                "train/loss": 1.0,
                "train/grad_norm": 1.0,
                "train/grad_norm_after": 1.0,
                "train/clipped_share": 0.5,
                "train/grad_cosine": 0.9,
                "train/limited_share": 0.1,
                "train/omega": 2.0,
                "validation/loss": 1.0,
                "validation/accuracy": 0.5,
                "validation/correct": 0.5,
            },
        }
        for i in range(5000)
    ]
    run = one.to_run("parent")
    assert len(run.points) <= 400 + summary
    assert len(run.points) > 300 + summary, "the room is used"
    keys = {(p.key, p.step) for p in run.points}
    assert len(keys) == len(run.points)
    for name in one.evaluations[0]["values"]:
        assert {(name, 0), (name, 4999)} <= keys
    assert {("gradient_flow/init/h", 0), ("gradient_flow/init/h", 299)} <= keys
    within = {step for key, step in keys if key == "state_gradients/training/verdict"}
    assert len(within) > 5
    assert {1, 99} <= within
    assert run.files["gradient_flow.png"].startswith(b"\x89PNG")


def test_a_run_has_the_audit_of_its_start() -> None:
    one = record(**{"init.recurrent": "orthogonal", "init.bias": "forget"})
    run = one.to_run()
    values = {p.key: p.value for p in run.points if p.key.startswith("init/")}
    assert {p.step for p in run.points if p.key.startswith("init/")} == {0}
    assert values["init/spectral_radius"] == pytest.approx(1)
    assert values["init/largest_singular_value"] == pytest.approx(1)
    assert values["init/orthogonality_error"] < 1e-6
    assert values["init/timescale_median"] == pytest.approx(1 + math.e)
    assert "init/gradient_bound" not in values  # an LSTM has no such bound
    written = json.loads(run.files["audit.json"])
    assert list(written["matrices"]) == ["U_i", "U_f", "U_g", "U_o"]
    plain = record(**{"model.cell": "elman"}).to_run()
    keys = {p.key for p in plain.points}
    assert "init/gradient_bound" in keys
    assert not any(key.startswith("init/timescale") for key in keys)


def test_a_record_spooled_without_an_audit_can_be_read() -> None:
    older = json.loads(record().to_json())
    del older["audit"]
    run = TrialRecord.from_json(json.dumps(older)).to_run()
    assert "audit.json" not in run.files


def test_a_run_has_what_its_probes_found() -> None:
    one = record(**{"train.steps": 4, "train.evaluate_every": 1, "train.probe_points": 2})
    run = one.to_run()
    found = json.loads(run.files["state_gradients.json"])
    assert [(f["stage"], f["step"]) for f in found] == [
        ("init", 0),
        ("training", 1),
        ("training", 2),
        ("final", 4),
    ]
    values = {(p.key, p.step): p.value for p in run.points if p.key.startswith("state_gradients")}
    for entry in found:
        finding = LaggedGradients.from_dict(entry["finding"])
        at = entry["step"] if entry["stage"] == "training" else 0
        for name, value in finding.summary().items():
            assert values.pop((f"state_gradients/{entry['stage']}/{name}", at)) == value
    assert values == {}
    again = TrialRecord.from_json(one.to_json()).to_run()
    assert (again.points, again.files) == (run.points, run.files)


def test_confirmations_and_single_runs_have_a_picture_of_the_gradient_over_training() -> None:
    one = record(**{"train.steps": 4, "train.evaluate_every": 1, "train.probe_points": 2})
    assert "state_gradients.png" not in one.to_run().files
    for role in ("confirmation", "single"):
        one.role = role
        assert one.to_run().files["state_gradients.png"].startswith(b"\x89PNG")
    one.probes = [entry | {"finding": None} for entry in one.probes]
    assert "state_gradients.png" not in one.to_run().files


def test_the_picture_shows_every_measurement() -> None:
    def found(*means: float | None) -> LaggedGradients:
        curve = Curve([*means], [*means], [*means])
        return LaggedGradients([0, 1, 3], {"h": curve}, curve, 3, 0.0, -1.0, "kept")

    figure = state_gradients_figure(
        {0: found(2.0, 1.0, -40.0), 50: found(-1.0, None, 0.5), 70: found(None, None, None)}
    )
    axes, scale = figure.axes
    (mesh,) = axes.collections
    shown = mesh.get_array()
    assert shown.filled(math.nan).tolist() == pytest.approx(
        np.array([[0, -1, -42], [0, math.nan, 1.5], [math.nan] * 3]), nan_ok=True
    )
    assert mesh.get_clim() == (-10.5, 1.5), "twelve decades"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0", "50", "70"]
    edges = mesh.get_coordinates()[0, :, 0].tolist()
    assert edges == [-0.5, 0.5, 2.0, 3.5]
    assert "lag 0" in scale.get_ylabel()


def test_a_slash_in_a_number_s_name_makes_no_section_of_its_own() -> None:
    one = record()
    place = {"probe": "gates", "stage": "init", "step": 0, "ms": 1, "finding": {}}
    one.probes.append({**place, "summary": {"f/mean": 0.5}})
    assert one.summary()["gates/init/f.mean"] == 0.5


def test_a_run_without_probes() -> None:
    run = record(**{"train.probes": "none"}).to_run()
    assert set(run.files) == {"config.toml"}
    assert run.params["train.probes"] == "none"
    probed = {f"{name}/" for name in PROBES} | {"init/"}
    assert not [p.key for p in run.points if p.key.startswith(tuple(probed))]


def test_probes_change_no_other_number() -> None:
    plain, probed = record(**{"train.probes": "none"}), record()
    assert plain.evaluations == probed.evaluations
    assert plain.result is not None
    assert probed.result is not None
    timeless = {"wall_seconds": 0, "seconds_per_step": 0}
    assert plain.result | timeless == probed.result | timeless


def test_what_earlier_versions_spooled_can_be_read() -> None:
    """The messages of the first probes, and a record without those of others."""
    one = record(**{"model.cell": "elman"})
    assert {"init", "final"} == one.flows.keys()
    assert one.audit is not None
    older = json.loads(one.to_json())
    del older["probes"]
    run = TrialRecord.from_json(json.dumps(older)).to_run()
    assert "state_gradients.json" not in run.files
    others = tuple(f"{name}/" for name in PROBES if name not in FIRST)
    here = {p.key for p in one.to_run().points if not p.key.startswith(others)}
    assert here == {p.key for p in run.points}


def test_numbers_that_are_not_finite_are_not_written() -> None:
    # MLflow turns an infinity into 1.8e308; the outcome says that the trial diverged.
    one = record(
        **{
            "model.cell": "elman",
            "model.phi": "identity",
            "init.recurrent": "scaled-identity",
            "init.recurrent.scale": 1e9,
            "task.length": 60,
        }
    )
    assert one.outcome == "diverged"
    run = one.to_run()
    assert all(math.isfinite(p.value) for p in run.points)
    assert {p.key: p.value for p in run.points}["diverged"] == 1
    assert run.status == "FINISHED"
    assert TrialRecord.from_json(one.to_json()).to_run().points == run.points


def test_a_failed_record_keeps_its_traceback_and_configuration() -> None:
    one = TrialRecord("k", "n", "trial", TrialConfig().complete())
    one.add("started", {"ms": 5})
    one.add("error", {"traceback": "Traceback …\nKaboom\n", "ms": 7})
    run = one.to_run()
    assert (run.status, run.tags["outcome"]) == ("FAILED", "failed")
    assert run.files["traceback.txt"].decode().endswith("Kaboom\n")
    assert (run.start_ms, run.end_ms) == (5, 7)
    assert one.score is None


def test_a_trial_begun_again_forgets_what_its_dead_worker_said() -> None:
    one = record()
    points = one.to_run().points
    again = record()
    again.add("started", {"ms": 9000})
    assert again.evaluations == []
    assert len(points) > 0


@settings(deadline=None)
@given(st.lists(st.integers(), max_size=300), st.integers(1, 60))
def test_thinning_keeps_the_ends_the_order_and_the_limit(points: list[int], most: int) -> None:
    indexed = list(enumerate(points))
    kept = thin(indexed, most)
    assert len(kept) == min(len(points), most)
    assert kept == sorted(set(kept))
    if points:
        assert kept[0] == indexed[0] or most == 1
        assert kept[-1] == indexed[-1]


# What an arm has achieved


def ended(number: int, outcome: str, score: float | None = None, **more: Any) -> Ended:
    given: dict[str, Any] = {
        "key": f"s/a/{number}/1",
        "role": "trial",
        "number": number,
        "outcome": outcome,
        "score": score,
        "seconds": 2.0,
        "best_loss": None if score is None else abs(score),
        "test_loss": None,
    }
    return Ended(**{**given, **more})


def confirmation(index: int, of: int, outcome: str, test_loss: float | None) -> Ended:
    return ended(
        index,
        outcome,
        0.5,
        key=f"s/a/confirm-{of}-{index}",
        role="confirmation",
        test_loss=test_loss,
        repeats=f"s/a/{of}/1",
    )


def test_the_best_is_a_trial_that_ran_to_its_end() -> None:
    arm = ArmProgress("a", Plan(5, confirmations=2))
    assert arm.best is None
    assert arm.left == 7
    for e in (
        ended(0, "pruned", 0.1),
        ended(1, "budget", 0.7),
        ended(2, "failed"),
        ended(3, "diverged", 10.0),
    ):
        arm.add(e)
    assert arm.best == ended(1, "budget", 0.7)
    arm.add(ended(4, "solved", -0.5))
    arm.add(ended(4, "solved", -0.5))
    assert arm.best == ended(4, "solved", -0.5)
    assert len(arm.trials) == 5
    assert arm.left == 2
    metrics = arm.metrics()
    counts = ("solved", "pruned", "diverged", "failed")
    assert [metrics[f"trials/{o}"] for o in counts] == [1, 1, 1, 1]


def test_confirmations_count_for_the_best_trial_only() -> None:
    arm = ArmProgress("a", Plan(1, confirmations=2))
    arm.add(ended(0, "budget", 0.5))
    for index, (outcome, loss) in enumerate([("solved", 0.2), ("budget", 0.4)]):
        arm.add(confirmation(index, 0, outcome, loss))
    assert arm.left == 0
    assert arm.metrics()["confirmed/solved_fraction"] == 0.5
    assert arm.metrics()["confirmed/test_loss_mean"] == pytest.approx(0.3)
    assert arm.metrics()["confirmed/test_loss_worst"] == 0.4
    arm.planned = Plan(2, confirmations=2)
    arm.add(ended(1, "solved", -0.5))
    assert arm.left == 2
    assert arm.metrics()["confirmed/runs"] == 0
    assert "confirmed/test_loss_mean" not in arm.metrics()


def test_an_arm_without_a_best_trial_has_no_confirmations_left() -> None:
    arm = ArmProgress("a", Plan(1, confirmations=3))
    arm.add(ended(0, "diverged", 10.0))
    assert arm.left == 0


def test_metrics_are_finite_and_json() -> None:
    arm = ArmProgress("a", Plan(1))
    arm.add(ended(0, "budget", float("nan")))
    json.dumps(arm.metrics(), allow_nan=False)
