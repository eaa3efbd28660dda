"""`longlag gradient --run` and `longlag probe`, on small runs that were tracked."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from study.commands.single import train_tracked
from study.commands.tracked_network import converged
from study.networks.layer import Layer
from study.probes import PROBES
from study.probes.state_gradients import LaggedGradients, state_gradients
from study.tracking.store import Store
from study.trial.config import TrialConfig
from study.trial.construction import build_model
from study.trial.probing import PROBED_SEQUENCES
from study.trial.weights import WEIGHTS

TINY = {
    "model.hidden": 3,
    "train.batch": 4,
    "train.steps": 6,
    "train.evaluate_every": 3,
    "train.engine": "reference",
    "train.probes": "none",
}
ADDING = {
    "task.name": "adding",
    "task.length": 6,
    "train.lr": 0.05,
    "train.probes": "gates,state_gradients",
}
DIVERGING = {
    "model.cell": "linear",
    "train.optimizer": "sgd",
    "train.lr": 1e6,
    "train.probes": "none",
}
TRANSDUCTION = {"task.name": "transduction", "task.length": 4, "attention.name": "soft"}
QUICK = "audit,gradient_flow,state_gradients,gates"

Run = Callable[..., tuple[int, str, str]]


def trained(folder: Path, **flat: object) -> str:
    def ids() -> set[str]:
        if not (folder / "mlruns").exists():
            return set()
        return {run.run_id for run in Store.open(folder).study("train").runs}

    before = ids()
    assert train_tracked(TrialConfig.from_flat({**TINY, **flat}), folder, test=False) == 0
    (new,) = ids() - before
    return new


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("measured")


@pytest.fixture(scope="module")
def runs(folder: Path) -> dict[str, str]:
    return {
        "adding": trained(folder, **ADDING),
        "diverged": trained(folder, **{**ADDING, **DIVERGING}),
        "written": trained(folder, **TRANSDUCTION),
    }


@pytest.fixture(autouse=True)
def in_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("study.commands.gradient.STREAM_STEPS", 20)


def kept(folder: Path, run: str, name: str) -> list[dict[str, object]]:
    """What a run's own probes found."""
    file = folder / "mlruns" / "artifacts" / "train" / run / "artifacts" / name
    return list(json.loads(file.read_text()))


def test_a_run_before_and_after(
    longlag: Run, runs: dict[str, str], folder: Path, tmp_path: Path
) -> None:
    run = runs["adding"]
    code, out, err = longlag("gradient", "--run", run, "--out", str(tmp_path))
    assert (code, err.strip()) == (0, "")
    assert max(map(len, out.splitlines())) <= 80 + len(str(tmp_path)), "paths are not broken"
    told = json.loads((tmp_path / "gradient.json").read_text())
    before, after = told["networks"]
    assert [n["network"] for n in (before, after)] == [
        f"{run[:8]} · before",
        f"{run[:8]} · after",
    ]
    assert [n["is_trained"] for n in (before, after)] == [False, True]
    own = {entry["stage"]: entry["finding"] for entry in kept(folder, run, "state_gradients.json")}
    # In float64, yet a sum over the batch may be made in another order.
    same = pytest.approx(own["init"]["whole"]["mean"], abs=2e-4)  # type: ignore[index]
    assert before["state_gradients"]["whole"]["mean"] == same
    found = converged(Store.open(), run)
    batch = found.config.task.validation().take(slice(PROBED_SEQUENCES))
    expected = state_gradients(found.model, found.config.task, batch)
    assert expected is not None
    assert after["state_gradients"] == expected.as_dict()
    assert after["state_gradients"] != before["state_gradients"]


def test_a_run_beside_cells(longlag: Run, runs: dict[str, str]) -> None:
    code, out, _ = longlag(
        "gradient",
        "elman",
        "--run",
        runs["adding"][:12],
        "--length",
        "4",
        "--set",
        "model.hidden=2",
    )
    assert code == 0
    assert re.search(r"^elman +\S+ +3 ", out, re.M), "lag 3 of 4 steps"
    assert re.search(rf"^{runs['adding'][:8]} · after +\S+ +5 ", out, re.M), "of the run's own 6"


def test_probes_of_a_run(longlag: Run, runs: dict[str, str], tmp_path: Path) -> None:
    code, out, err = longlag("probe", runs["adding"], "--probes", QUICK, "--out", str(tmp_path))
    assert (code, err) == (0, "")
    assert "lstm · adding" in out
    found = LaggedGradients.from_dict(
        json.loads((tmp_path / "state_gradients.json").read_text())[1]["finding"]
    )
    assert found.log10_ratio_at_lag is not None
    (line,) = [line for line in out.splitlines() if "log10_ratio_at_lag" in line]
    assert line.split()[2] == f"{found.log10_ratio_at_lag:.4g}", "untrained, trained"
    for name in QUICK.split(","):
        assert re.search(rf"^{name}  ", out, re.M)
        # A few words of the line, which may be broken.
        assert " ".join(PROBES[name].about.split()[:4]) in " ".join(out.split())
        assert (tmp_path / f"{name}.json").is_file()
    stages = {
        n: [m["stage"] for m in json.loads((tmp_path / f"{n}.json").read_text())]
        for n in QUICK.split(",")
    }
    assert stages == {
        "audit": ["init"],
        "gradient_flow": ["init", "best"],
        "state_gradients": ["init", "best"],
        "gates": ["best"],
    }
    for picture in ("gradient_flow.png", "state_gradients.png"):
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")
    assert len(list(tmp_path.iterdir())) == 4 + 2


def test_a_probe_finds_what_it_found_in_the_run(
    longlag: Run, runs: dict[str, str], folder: Path, tmp_path: Path
) -> None:
    run = runs["adding"]
    longlag("probe", run, "--probes", "gates,audit", "--out", str(tmp_path))
    again = json.loads((tmp_path / "gates.json").read_text())
    (own,) = kept(folder, run, "gates.json")
    assert again[0]["step"] == own["step"]
    assert again[0]["stage"] == own["stage"] == "best"
    assert again[0]["finding"] == own["finding"]


def test_all_probes_are_the_default_and_one_that_does_not_fit_says_why(
    longlag: Run, runs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def measured(probe: object, subject: object) -> None:
        made.append(probe.name)  # type: ignore[attr-defined]

    monkeypatch.setattr("study.probes.base.Probe.__call__", measured)
    code, out, _ = longlag("probe", runs["adding"])
    assert code == 0
    assert set(made) == set(PROBES) - {"writing"}
    assert re.search(r"^writing  .*\n  does not fit: unwritten$", out, re.M)
    assert "nothing found, trained: not finite, or too little to measure" in out


def test_what_is_written_has_its_picture(
    longlag: Run, runs: dict[str, str], tmp_path: Path
) -> None:
    code, out, _ = longlag("probe", runs["written"], "--probes", "writing", "--out", str(tmp_path))
    assert code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"writing.json", "attention.png"}
    assert str(tmp_path / "attention.png") in out


def test_a_probe_that_fails_is_told_and_the_others_measure(
    longlag: Run, runs: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = type(PROBES["audit"]).__call__

    def measured(probe, subject):  # type: ignore[no-untyped-def]
        if probe.name == "gates":
            raise ArithmeticError("of two\nlines")
        return whole(probe, subject)

    monkeypatch.setattr("study.probes.base.Probe.__call__", measured)
    code, out, err = longlag("probe", runs["adding"], "--probes", QUICK, "--out", str(tmp_path))
    assert code == 1
    assert "Traceback" not in out + err
    (line,) = [line for line in out.splitlines() if "failed" in line]
    assert line.strip().startswith("failed, trained: ArithmeticError: of two")
    assert "log10_ratio_at_lag" in out
    (entry,) = json.loads((tmp_path / "gates.json").read_text())
    assert entry["finding"] is None
    assert "ArithmeticError" in entry["failure"]


@pytest.mark.parametrize("command", [("probe",), ("gradient", "--run")])
def test_runs_that_cannot_be_measured(
    command: tuple[str, ...], longlag: Run, runs: dict[str, str], folder: Path
) -> None:
    store = Store.open(folder)
    unfinished = store._client.create_run(store.study("train").experiment_id).info.run_id
    weights = folder / "mlruns" / "artifacts" / "train" / runs["written"] / "artifacts" / WEIGHTS
    content = weights.read_bytes()
    weights.unlink()
    try:
        for run, fragment in (
            ("nothing", "no run has the id 'nothing'"),
            (runs["diverged"], "diverged, so it has no trained network"),
            (unfinished, "no training that ended"),
            (runs["written"], "kept no parameters"),
        ):
            code, out, err = longlag(*command, run)
            assert (code, out) == (2, "")
            assert err.startswith("longlag: ")
            assert len(err.splitlines()) == 1
            assert fragment in err
    finally:
        weights.write_bytes(content)
        store._client.delete_run(unfinished)


def test_the_untrained_network_is_the_one_of_the_runs_seed(runs: dict[str, str]) -> None:
    found = converged(Store.open(), runs["adding"])
    fresh = build_model(found.config)
    one, other = (
        next(m for m in model.modules() if isinstance(m, Layer)) for model in (fresh, found.model)
    )
    assert one is not other
    assert not torch.equal(one.U_f, other.U_f)
    assert found.best_step in (3, 6)
