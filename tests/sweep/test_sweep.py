"""Sweeps: exactly the planned trials, whatever dies on the way, and everything written down once."""

import json
import math
import multiprocessing
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any, ClassVar

import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState
from task_files import music, music_json

import study.sweep.driver
from study.base.errors import UserError
from study.cells import CELLS
from study.commands.tracked_network import tracked
from study.spaces.file import load
from study.spaces.index import find
from study.spaces.space import Space, planned_trials
from study.sweep import worker
from study.sweep.driver import Sweep, SweepStatus
from study.sweep.execution import Died, Job, Message, Patience
from study.sweep.search import ArmSearch, Journal, confirmation_seed, open_searches, trial_seed
from study.sweep.spool import Spool
from study.tasks.real import series_table
from study.tracking.run_record import RunRecord, StudyRecord
from study.tracking.store import Store
from study.tracking.views import saved
from study.trial.config import TrialConfig, known_names
from study.trial.training import train

SPACE = """
[study]
name = "tiny"
trials = {trials}
confirmations = 2
reruns = 0

[fixed]
train.probes = "gradient_flow,audit,writing"
task.length = 5
model.hidden = 4
train.batch = 4
train.steps = {steps}
train.evaluate_every = 5

[compare.network]
tanh = {{ model.cell = "elman" }}
lstm = {{ model.cell = "lstm" }}

[search]
train.lr = {{ low = 0.001, high = 0.1, log = true }}
clip.name = ["none", "norm"]
clip.threshold = {{ low = 0.5, high = 2.0, when = {{ clip.name = "norm" }} }}
"""


def space(folder: Path, text: str = SPACE, trials: int = 3, steps: int = 20, **more: Any) -> Space:
    path = folder / "tiny.toml"
    path.write_text(text.format(trials=trials, steps=steps))
    return load(path, **more)


def sweep(s: Space, folder: Path, workers: int = 2) -> SweepStatus:
    *_, last = Sweep(s, folder, workers).run()
    return last


def runs(folder: Path, role: str, name: str = "tiny") -> list[RunRecord]:
    return [r for r in Store.open(folder).study(name).runs if r.tags.get("role") == role]


def optuna_trials(s: Space, folder: Path) -> dict[str, Any]:
    found = open_searches(s, folder / "mlruns" / "optuna" / f"{s.name}.journal")
    return {slug: search.trials for slug, search in found.items()}


def check_complete(s: Space, folder: Path) -> StudyRecord:
    """Exactly the planned runs, each once, ended, and the same in Optuna and in MLflow."""
    record = Store.open(folder).study(s.name)
    role = Counter(r.tags.get("role") for r in record.runs)
    arms = [arm.slug for arm in s.arms()]
    assert role["arm"] == len(arms)
    assert role["trial"] == planned_trials(s) * len(arms)
    keys = [r.tags["trial_key"] for r in record.runs]
    assert len(keys) == len(set(keys))
    for run in record.runs:
        assert run.status in ("FINISHED", "FAILED"), (run.name, run.status)
        assert run.end_ms is not None
        assert run.end_ms >= run.start_ms
    told = optuna_trials(s, folder)
    parents = {r.tags["arm"]: r for r in record.runs if r.tags["role"] == "arm"}
    for slug in arms:
        mine = [r for r in record.runs if r.tags["arm"] == slug]
        trials = {int(r.tags["number"]): r for r in mine if r.tags["role"] == "trial"}
        assert sorted(trials) == list(range(planned_trials(s)))
        assert [t.number for t in told[slug]] == sorted(trials)
        for trial in told[slug]:
            run = trials[trial.number]
            assert trial.state.is_finished()
            assert (trial.state == TrialState.FAIL) == (run.status == "FAILED")
            if trial.state == TrialState.COMPLETE:
                assert trial.value == pytest.approx(run.metrics["score"])
            for name, value in trial.params.items():
                value = json.loads(value) if isinstance(value, str) else value
                assert run.params[name] == str(value)
        for run in mine:
            if run.tags["role"] != "arm":
                assert run.parent_id == parents[slug].run_id
        ended = [r for r in trials.values() if r.tags["outcome"] in ("solved", "budget")]
        if ended:
            best = min(ended, key=lambda r: (r.metrics["score"], int(r.tags["number"])))
            best_key = best.tags["trial_key"]
            confirmed = [r for r in mine if r.tags.get("confirms") == best_key]
            assert sorted(int(r.tags["number"]) for r in confirmed) == list(range(s.confirmations))
            assert parents[slug].tags["best_trial_key"] == best_key
            assert parents[slug].metrics["best/score"] == best.metrics["score"]
        assert parents[slug].metrics["trials/complete"] == len(trials)
        assert parents[slug].metrics["trials/failed"] == sum(
            r.status == "FAILED" for r in trials.values()
        )
    assert not list((folder / "mlruns" / "spool" / s.name).iterdir())
    return record


def draws(folder: Path, name: str = "tiny") -> dict[tuple[str, str], dict[str, str]]:
    """(arm, number) -> parameters, of the trials."""
    return {(r.tags["arm"], r.tags["number"]): r.params for r in runs(folder, "trial", name)}


# A real sweep, with real processes


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, forked: None) -> tuple[Space, Path]:
    folder = tmp_path_factory.mktemp("swept")
    s = space(folder)
    statuses = list(Sweep(s, folder, 2).run())
    last = statuses[-1]
    assert last.left == 0
    assert last.warnings == []
    assert all(arm.running <= 2 for status in statuses for arm in status.arms)
    return s, folder


def test_a_sweep_runs_exactly_what_was_planned(swept: tuple[Space, Path]) -> None:
    check_complete(*swept)


def test_a_trial_run_is_complete(swept: tuple[Space, Path]) -> None:
    s, folder = swept
    store = Store.open(folder)
    client = MlflowClient(store.uri)
    for run in runs(folder, "trial"):
        assert set(known_names()) <= run.params.keys()
        assert run.params["axis.network"] == run.tags["axis.network"] == run.tags["arm"]
        assert run.params["seed"] == str(trial_seed(s.seed, int(run.tags["number"])))
        assert (run.params["clip.threshold"] == "none") == (run.params["clip.name"] == "none")
        for metric in ("score", "solved", "diverged", "steps", "clip_rate", "wall_seconds"):
            assert math.isfinite(run.metrics[metric])
        for metric in ("best/validation_loss", "final/validation_loss", "train/loss"):
            assert run.metrics[metric] > 0
        assert not any(key.startswith("test/") for key in run.metrics)
        assert run.tags["outcome"] in ("solved", "budget", "diverged")
        assert run.tags["cell.output"] == CELLS[run.params["model.cell"]].output
        assert json.loads(run.tags["task.card"])["name"] == "adding"
        for tag in ("version.longlag", "version.torch", "mlflow.source.name"):
            assert run.tags[tag]
        files = {f.path for f in client.list_artifacts(run.run_id)}
        assert {"config.toml", "gradient_flow.png", "gradient_flow.json", "audit.json"} <= files
        assert run.metrics["init/spectral_radius"] > 0
        points = store.histories([run.run_id], list(run.metrics))
        assert len(points) <= 400
        steps = [p.step for p in points if p.key == "validation/loss"]
        assert steps == sorted(set(steps))


def test_a_runs_configuration_runs_again_to_the_same_numbers(
    swept: tuple[Space, Path], tmp_path: Path
) -> None:
    _, folder = swept
    store = Store.open(folder)
    for role, test in (("trial", False), ("confirmation", True)):
        run = runs(folder, role)[0]
        path = tmp_path / f"{role}.toml"
        path.write_text(store.artifact_text(run.run_id, "config.toml"))
        *_, again = train(TrialConfig.from_file(path), test=test)
        assert again.best["loss"] == run.metrics["best/validation_loss"]
        assert again.score == run.metrics["score"]
        if test:
            assert again.test["loss"] == run.metrics["test/loss"]


def test_an_arm_sums_up_what_its_confirmations_did_to_the_gradient(
    swept: tuple[Space, Path],
) -> None:
    _, folder = swept
    client = MlflowClient(Store.open(folder).uri)
    confirmed = runs(folder, "confirmation")
    for arm in runs(folder, "arm"):
        rates = [r.metrics["clip_rate"] for r in confirmed if r.parent_id == arm.run_id]
        assert rates
        assert arm.metrics["clip_rate"] == median(rates)
        assert "gradient_flow.png" in {f.path for f in client.list_artifacts(arm.run_id)}


def test_a_confirmation_keeps_its_parameters_and_a_trial_does_not(
    swept: tuple[Space, Path],
) -> None:
    store = Store.open(swept[1])
    tracked(store, runs(swept[1], "confirmation")[0].run_id)
    with pytest.raises(UserError, match="kept no parameters"):
        tracked(store, runs(swept[1], "trial")[0].run_id)


def test_arms_are_paired(swept: tuple[Space, Path]) -> None:
    found = draws(swept[1])
    for number in "012":
        a, b = found["tanh", number], found["lstm", number]
        for name in ("seed", "train.lr", "clip.name", "clip.threshold"):
            assert a[name] == b[name]


def test_confirmations_are_the_best_configuration_on_fresh_seeds(
    swept: tuple[Space, Path],
) -> None:
    s, folder = swept
    by_key = {r.tags["trial_key"]: r for r in runs(folder, "trial")}
    trial_seeds = {r.params["seed"] for r in by_key.values()}
    confirmations = runs(folder, "confirmation")
    assert len(confirmations) == 4
    for run in confirmations:
        best = by_key[run.tags["confirms"]]
        assert run.params["seed"] == str(confirmation_seed(s.seed, int(run.tags["number"])))
        assert run.params["seed"] not in trial_seeds
        assert {**run.params, "seed": ""} == {**best.params, "seed": ""}
        assert run.metrics["test/loss"] > 0


def test_the_parents_aggregates_are_its_childrens(swept: tuple[Space, Path]) -> None:
    _, folder = swept
    for parent in runs(folder, "arm"):
        confirmed = [r for r in runs(folder, "confirmation") if r.parent_id == parent.run_id]
        losses = [r.metrics["test/loss"] for r in confirmed]
        assert parent.metrics["confirmed/runs"] == 2
        assert parent.metrics["confirmed/test_loss_mean"] == pytest.approx(sum(losses) / 2)
        assert parent.metrics["confirmed/test_loss_worst"] == max(losses)
        assert (
            parent.metrics["confirmed/solved_fraction"]
            == sum(r.metrics["solved"] for r in confirmed) / 2
        )
        assert set(known_names()) <= parent.params.keys()
        assert parent.params["train.lr"] == "searched"
        assert parent.run_id in parent.tags["mlflow.note.content"]


@pytest.mark.usefixtures("forked")
def test_a_worker_killed_in_the_middle_of_a_trial_costs_no_trial(tmp_path: Path) -> None:
    text = SPACE.replace("confirmations = 2", "confirmations = 0")
    s = space(tmp_path, text, trials=1, steps=300)
    killed = False
    run = Sweep(s, tmp_path, 2)
    for status in run.run():
        begun = [a for a in run._active.values() if a.record.evaluations]
        if not killed and begun:
            os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
            killed = True
        last = status
    assert killed
    assert any("was killed by signal 9" in warning for warning in last.warnings)
    check_complete(s, tmp_path)
    assert not multiprocessing.active_children()
    assert all(r.status == "FINISHED" for r in runs(tmp_path, "trial"))


# The driver killed: real processes, one folder, one thing after another


def start_driver(folder: Path, workers: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "study", "sweep", "tiny.toml", "--workers", str(workers)]
    environment = {**os.environ, "PYTHONPATH": str(Path(study.__file__).parent.parent)}
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def children_of(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


def wait_until(condition: Callable[[], bool], driver: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert driver.poll() is None, driver.communicate()
        assert time.monotonic() < deadline, "the sweep does not get there"
        time.sleep(0.05)


def told_in_journal(folder: Path) -> int:
    """Finished trials so far, read from the journal's text."""
    path = folder / "mlruns" / "optuna" / "tiny.journal"
    if not path.exists():
        return 0
    return sum('"op_code":6' in line.replace(" ", "") for line in path.read_text().splitlines())


@pytest.mark.usefixtures("forked")
def test_a_driver_interrupted_then_killed_goes_on_each_time(tmp_path: Path) -> None:
    text = SPACE.replace("confirmations = 2", "confirmations = 1")
    text = text.replace("gradient_flow,audit,writing", "none")
    Store.open(tmp_path, create=True)  # from the tables that are there
    # Long enough that a busy machine finds the driver still at it.
    s = space(tmp_path, text, trials=5, steps=250)

    driver = start_driver(tmp_path, 1)
    wait_until((tmp_path / "mlruns" / "optuna" / "tiny.journal").exists, driver)
    with pytest.raises(UserError, match="another process"):
        next(Sweep(s, tmp_path, 1).run())
    wait_until(lambda: told_in_journal(tmp_path) >= 1, driver)
    driver.send_signal(signal.SIGINT)
    out, err = driver.communicate(timeout=60)
    assert driver.returncode == 130, out + err
    assert "Traceback" not in out + err
    assert "longlag sweep tiny.toml" in out
    assert {r.status for r in runs(tmp_path, "arm")} == {"KILLED"}
    before = {r.tags["trial_key"] for r in runs(tmp_path, "trial")}
    assert before
    # The one that was being written is completed from the spool.
    assert {r.status for r in runs(tmp_path, "trial")} <= {"FINISHED", "RUNNING"}

    driver = start_driver(tmp_path, 2)
    told = told_in_journal(tmp_path)
    wait_until(lambda: told_in_journal(tmp_path) >= told + 1, driver)
    driver.send_signal(signal.SIGSTOP)  # lest it ends while its workers are looked for
    workers = children_of(driver.pid)
    assert workers
    driver.kill()
    driver.communicate(timeout=60)
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < deadline, "workers outlive their driver"
        time.sleep(0.1)

    sweep(s, tmp_path)
    record = check_complete(s, tmp_path)
    # What was finished before has not been run again.
    assert before <= {r.tags["trial_key"] for r in record.runs}


# Everything else: the real driver with jobs run in this process


class Inline:
    """A pool whose one worker is this process; ``submitted`` counts over all of a test's pools."""

    submitted: ClassVar[list[str]] = []

    def __init__(self, size: int, patience: Patience) -> None:
        self._waiting: deque[Job] = deque()

    def __enter__(self) -> "Inline":
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.clear()

    @property
    def free(self) -> int:
        return 2 - len(self._waiting)

    @property
    def running(self) -> list[Job]:
        return list(self._waiting)

    def submit(self, job: Job) -> None:
        Inline.submitted.append(job["key"])
        self._waiting.append(job)

    def answer(self, job: Job, stop: bool) -> None:
        """Too late here: `events` has the whole job run before the driver hears of it."""
        json.dumps(stop)  # a real pool sends it

    def events(self, timeout_seconds: float) -> Iterator[Message | Died]:
        job = self._waiting[0]
        sent: list[bytes] = []

        class Pipe:
            def send_bytes(self, content: bytes) -> None:
                sent.append(content)

            def recv_bytes(self) -> bytes:
                return b'{"stop": false}'

        worker._work(worker._Line(Pipe()), job)  # type: ignore[arg-type]
        for content in map(json.loads, sent):
            if content["kind"] in ("result", "error", "lost"):
                self._waiting.popleft()
            if content["kind"] == "lost":
                yield Died(job, content["why"])
            else:
                yield Message(job, content["kind"], content)


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables, which take seconds to make."""
    folder = tmp_path_factory.mktemp("empty")
    Store.open(folder, create=True).optimize()
    return folder / "mlruns" / "mlflow.db"


def copy_database(source: Path, folder: Path) -> None:
    with (
        closing(sqlite3.connect(source)) as here,
        closing(sqlite3.connect(folder / "mlruns" / "mlflow.db")) as there,
    ):
        here.backup(there)


@pytest.fixture
def folder(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mlruns").mkdir()
    copy_database(empty_store, tmp_path)
    monkeypatch.setattr(study.sweep.driver, "LocalPool", Inline)
    monkeypatch.setattr("study.tracking.trial_record.gradient_flow_picture", lambda *_: b"png")
    monkeypatch.setattr("study.tasks.synthetic_task.VALIDATION_SEQUENCES", 50)
    monkeypatch.setattr("study.tasks.synthetic_task.TEST_SEQUENCES", 50)
    monkeypatch.setattr(Inline, "submitted", [])
    monkeypatch.setattr("study.sweep.filing._LAST_TRY_SECONDS", 0)
    return tmp_path


def test_run_again_does_nothing_and_more_trials_extend(folder: Path) -> None:
    s = space(folder)
    sweep(s, folder)
    check_complete(s, folder)
    first = {r.run_id: r for r in runs(folder, "trial") + runs(folder, "confirmation")}
    assert len(Inline.submitted) == 10
    assert sweep(s, folder).left == 0
    assert len(Inline.submitted) == 10
    again = {r.run_id: r for r in runs(folder, "trial") + runs(folder, "confirmation")}
    assert again == first
    more = space(folder, trials=5)
    sweep(more, folder)
    check_complete(more, folder)
    assert Inline.submitted[10:14] == [
        f"tiny/{arm}/{n}/1" for n in (3, 4) for arm in ("tanh", "lstm")
    ]
    assert (
        first.items()
        <= {r.run_id: r for r in runs(folder, "trial") + runs(folder, "confirmation")}.items()
    )


def test_an_interrupted_search_draws_what_an_uninterrupted_one_draws(
    folder: Path, swept: tuple[Space, Path]
) -> None:
    s = space(folder)
    statuses = Sweep(s, folder, 2).run()
    while len(Inline.submitted) < 4:
        next(statuses)
    statuses.close()
    assert {r.status for r in runs(folder, "arm")} == {"KILLED"}
    assert shown_curves(folder) == "tags.role = 'trial'"  # no arm has all its confirmations
    sweep(s, folder)
    check_complete(s, folder)
    assert draws(folder) == draws(swept[1])
    assert shown_curves(folder) == "tags.role = 'confirmation'"
    sweep(s, folder)
    assert shown_curves(folder) == "tags.role = 'confirmation'"


def shown_curves(folder: Path) -> str:
    """Which runs the view of the curves draws."""
    (view,) = [v for v in saved(Store.open(folder).study("tiny").tags) if v.key == "curves"]
    return view.state["searchFilter"]


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file but SQLite's side files."""
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in folder.rglob("*")
        if p.is_file() and not p.name.endswith(("-wal", "-shm", ".lock"))
    }


@pytest.mark.parametrize(
    ("old", "new", "fragment"),
    [
        ("high = 0.1", "high = 0.2", "train.lr high was 0.1, is 0.2"),
        ("task.length = 5", "task.length = 6", "task.length was 5, is 6"),
        ("tanh = {{", "TANH = {{", "TANH is new"),
        ("lstm = {{ model.cell", "gru = {{ model.cell", "gru is new"),
    ],
)
def test_a_changed_space_is_refused_and_nothing_is_written(
    folder: Path, old: str, new: str, fragment: str
) -> None:
    sweep(space(folder, trials=1), folder)
    changed = space(folder, SPACE.replace(old, new), trials=1)
    before = snapshot(folder)
    with pytest.raises(UserError) as refusal:
        sweep(changed, folder)
    assert fragment in str(refusal.value)
    assert snapshot(folder) == before
    # Under another name it is a study of its own.
    other = space(folder, SPACE.replace(old, new), trials=1, name="other")
    sweep(other, folder)
    check_complete(other, folder)


def test_other_data_in_the_same_place_is_refused_and_nothing_is_written(folder: Path) -> None:
    table = folder / "waves.csv"

    def measured(period: int) -> Space:
        rows = [f"{day},{day % period}.{day % 5}" for day in range(200)]
        table.write_text("\n".join(["day,height", *rows]) + "\n")
        series_table.load.cache_clear()  # a process of its own would read the file anew
        data = f'task.name = "csv-series"\ntask.path = "{table}"\ntask.length = 5'
        return space(folder, SPACE.replace("task.length = 5", data), trials=1, steps=5)

    sweep(measured(7), folder)
    longer = measured(11).model_copy(update={"trials": 2})
    before = snapshot(folder)
    with pytest.raises(
        UserError, match="the data of task 'csv-series' are not those of"
    ) as refusal:
        sweep(longer, folder)
    assert "\n" not in str(refusal.value)
    assert snapshot(folder) == before
    longer = measured(7).model_copy(update={"trials": 2})
    sweep(longer, folder)
    check_complete(longer, folder)


def test_grid_tries_every_combination_once_in_every_arm(folder: Path) -> None:
    text = SPACE[: SPACE.index("[search]")].replace("trials = {trials}", 'sampler = "grid"')
    s = space(folder, text + "[search]\ntrain.lr = [0.1, 0.01]\nclip = ['none', 'norm']\n")
    sweep(s, folder)
    check_complete(s, folder)
    for arm in ("tanh", "lstm"):
        points = {
            (p["train.lr"], p["clip.name"]) for (a, _), p in draws(folder).items() if a == arm
        }
        assert len(points) == 4


@pytest.mark.parametrize(
    "extra", ['sampler = "tpe"', 'pruner = "median"', 'pruner = "halving"', 'pruner = "beaten"']
)
def test_other_samplers_and_pruners_end_with_what_was_planned(folder: Path, extra: str) -> None:
    s = space(folder, SPACE.replace("confirmations = 2", f"confirmations = 1\n{extra}"), trials=12)
    s = s.model_copy(update={"compare": {"network": {"tanh": {"model.cell": "elman"}}}})
    sweep(s, folder)
    check_complete(s, folder)


def test_the_music_study_runs_with_a_file_and_not_without(folder: Path) -> None:
    def given(path: str) -> Space:
        small = {"train.steps": 10, "train.evaluate_every": 5, "train.batch": 4}
        return load(find("music"), {**small, "task.path": path}, trials=1, confirmations=1)

    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for path in ("", str(folder / "none.pickle")):
        with pytest.raises(UserError, match="task 'music' needs a pickle or JSON file"):
            sweep(given(path), folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    pickled, as_json = music(folder)["path"], music_json(folder)["path"]
    s = given(pickled)
    sweep(s, folder)
    check_complete(s, folder)
    assert {run.params["task.path"] for run in runs(folder, "trial", "music")} == {pickled}
    with pytest.raises(UserError, match=r"begun with another search space: fixed task\.path was"):
        sweep(given(as_json), folder)


def test_a_choice_that_only_the_search_makes_valid_can_be_swept(folder: Path) -> None:
    text = """
[study]
name = "tiny"
trials = 2
confirmations = 0
reruns = 0
[fixed]
task.length = 5
model.hidden = 4
train.steps = 5
init.recurrent = "identity"
train.momentum = 0.5
[search]
model.cell = ["elman"]
train.optimizer = ["sgd"]
"""
    s = space(folder, text)
    sweep(s, folder)
    check_complete(s, folder)


def test_a_trial_that_raises_is_failed_and_the_sweep_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s = space(folder)
    unlucky = trial_seed(s.seed, 1)
    real = TrialConfig.from_flat

    def from_flat(flat: dict[str, Any]) -> TrialConfig:
        config = real(flat)
        if config.seed == unlucky and sys._getframe(1).f_code.co_name == "_work":
            raise ZeroDivisionError("no luck")
        return config

    monkeypatch.setattr(TrialConfig, "from_flat", from_flat)
    last = sweep(s, folder)
    assert last.left == 0
    check_complete(s, folder)
    failed = [r for r in runs(folder, "trial") if r.status == "FAILED"]
    assert {(r.tags["arm"], r.tags["number"]) for r in failed} == {("tanh", "1"), ("lstm", "1")}
    for run in failed:
        assert run.tags["outcome"] == "failed"
        text = Store.open(folder).artifact_text(run.run_id, "traceback.txt")
        assert "ZeroDivisionError: no luck" in text
        assert set(known_names()) <= run.params.keys()
    submitted = len(Inline.submitted)
    sweep(s, folder)
    assert len(Inline.submitted) == submitted, "a failed trial is not tried again unasked"


def test_an_arm_whose_every_trial_fails_ends_without_confirmations(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s = space(folder, trials=2)
    monkeypatch.setattr("study.trial.training.build_model", lambda config: 1 / 0)
    last = sweep(s, folder)
    assert last.left == 0
    check_complete(s, folder)
    assert not runs(folder, "confirmation")


def test_a_store_that_is_away_loses_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    s = space(folder)
    real = Store.write
    away = [True]

    def write(self: Store, experiment_id: str, run: Any) -> str:
        if away[0] and "/1/" in run.key:
            raise OSError("the store is away\nsecond line")
        return real(self, experiment_id, run)

    monkeypatch.setattr(Store, "write", write)
    last = sweep(s, folder)
    assert any("waits in the spool: the store is away" in w for w in last.warnings)
    assert {r.status for r in runs(folder, "arm")} == {"KILLED"}
    assert len(runs(folder, "trial")) == 4
    submitted = sorted(Inline.submitted)
    assert len(submitted) == 10
    # Still away: what waits is finished, and is not run again.
    sweep(s, folder)
    assert sorted(Inline.submitted) == submitted
    assert len(list((folder / "mlruns" / "spool" / "tiny").iterdir())) == 2
    # More trials are wanted meanwhile: only those are run.
    more = space(folder, trials=4)
    sweep(more, folder)
    assert [k for k in Inline.submitted[10:] if "confirm" not in k] == [
        "tiny/tanh/3/1",
        "tiny/lstm/3/1",
    ]
    away[0] = False
    sweep(more, folder)
    check_complete(more, folder)


class Crash(BaseException):
    """The driver dies here: no handler may act on it."""


POINTS: list[tuple[type, str]] = [
    (Spool, "put"),
    (Spool, "remove"),
    (ArmSearch, "ask"),
    (ArmSearch, "configure"),
    (ArmSearch, "tell"),
    (MlflowClient, "create_experiment"),
    (MlflowClient, "create_run"),
    (MlflowClient, "log_batch"),
    (Store, "_write_files"),
    (MlflowClient, "set_terminated"),
]


def crash_at(patch: pytest.MonkeyPatch, k: int) -> list[str]:
    """Dies before (k even) or after (k odd) the k/2-th call of any of the points; k < 0: counts."""
    calls: list[str] = []
    dead = [False]

    def wrapped(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if dead[0]:
                raise Crash  # a dead process writes nothing, in its `finally` neither
            calls.append(name)
            here = len(calls) - 1 == k // 2
            if here and k % 2 == 0:
                dead[0] = True
                raise Crash
            done = real(*args, **kwargs)
            if here:
                dead[0] = True
                raise Crash
            return done

        return call

    for cls, name in POINTS:
        patch.setattr(cls, name, wrapped(name, getattr(cls, name)))
    return calls


ONE_ARM = SPACE.replace('tanh = {{ model.cell = "elman" }}\n', "").replace(
    "confirmations = 2", "confirmations = 1"
)


def test_a_driver_that_dies_anywhere_goes_on(folder: Path, empty_store: Path) -> None:
    s = space(folder, ONE_ARM, trials=2, steps=5)
    with pytest.MonkeyPatch.context() as patch:
        calls = crash_at(patch, -2)
        sweep(s, folder)
    check_complete(s, folder)
    expected = draws(folder)
    assert set(calls) == {name for _, name in POINTS}
    # Every third moment: consecutive calls, before and after in turn.
    for k in range(0, 2 * len(calls), 3):
        place = folder / f"crash{k}"
        (place / "mlruns").mkdir(parents=True)
        copy_database(empty_store, place)
        with pytest.MonkeyPatch.context() as patch:
            made = crash_at(patch, k)
            with pytest.raises(Crash):
                sweep(s, place)
        at = f"{'before' if k % 2 == 0 else 'after'} call {k // 2}, {made[k // 2]}"
        try:
            sweep(s, place)
            check_complete(s, place)
            assert draws(place) == expected
        except BaseException as error:
            raise AssertionError(f"died {at}: {error}") from error


def test_a_journal_without_its_store_is_refused(folder: Path, empty_store: Path) -> None:
    s = space(folder, ONE_ARM, trials=1)
    sweep(s, folder)
    other = folder / "other"
    shutil.copytree(folder / "mlruns" / "optuna", other / "mlruns" / "optuna")
    copy_database(empty_store, other)
    with pytest.raises(UserError, match="put the store back"):
        sweep(s, other)


def test_a_store_without_its_journal_is_refused(folder: Path) -> None:
    # Else the trials would be run again, over the runs that are there.
    s = space(folder, ONE_ARM, trials=1)
    sweep(s, folder)
    shutil.rmtree(folder / "mlruns" / "optuna")
    with pytest.raises(UserError, match="journal"):
        sweep(space(folder, ONE_ARM, trials=2), folder)


def test_a_database_that_is_none_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "mlruns").mkdir()
    (tmp_path / "mlruns" / "mlflow.db").write_bytes(b"no database at all, but some bytes " * 50)
    s = space(tmp_path)
    before = {str(p) for p in tmp_path.rglob("*")}
    with pytest.raises(UserError, match="cannot open the store") as refusal:
        sweep(s, tmp_path)
    assert "\n" not in str(refusal.value)
    assert {str(p) for p in tmp_path.rglob("*")} == before


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mlruns").write_text("not a folder")
    with pytest.raises(UserError, match="cannot write") as refusal:
        sweep(space(tmp_path), tmp_path)
    assert "\n" not in str(refusal.value)


def test_a_damaged_record_in_the_spool_stops_nothing(folder: Path) -> None:
    s = space(folder, ONE_ARM, trials=1)
    spool = folder / "mlruns" / "spool" / "tiny"
    spool.mkdir(parents=True)
    (spool / "half.tmp").write_text('{"key": ')
    sweep(s, folder)
    assert len(runs(folder, "trial")) == 1


def test_the_lock_of_a_dead_driver_is_no_obstacle(folder: Path) -> None:
    (folder / "mlruns" / "optuna").mkdir(parents=True)
    (folder / "mlruns" / "optuna" / "tiny.lock").write_text("")
    s = space(folder, ONE_ARM, trials=1)
    sweep(s, folder)
    check_complete(s, folder)
    assert Journal(folder / "mlruns" / "optuna" / "tiny.journal").studies
