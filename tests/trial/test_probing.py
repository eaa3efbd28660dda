"""Which probes run in a trial, when, and on which parameters."""

from dataclasses import replace

import pytest
import torch

from study.networks.model import Model
from study.probes import PROBES, Probe
from study.probes.gradient_flow import GradientFlow
from study.sweep import worker
from study.tasks.base import Batch
from study.tracking.messages import message
from study.tracking.trial_record import TrialRecord
from study.trial.config import TrialConfig
from study.trial.construction import build_model
from study.trial.probing import Probed
from study.trial.records import Record, Result, Trained
from study.trial.training import train

TINY = {
    "task.name": "adding",
    "task.length": 6,
    "model.hidden": 4,
    "train.batch": 8,
    "train.steps": 20,
    "train.evaluate_every": 5,
}


@pytest.fixture(autouse=True)
def small_held_out_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("study.tasks.synthetic_task.VALIDATION_SEQUENCES", 60)
    monkeypatch.setattr("study.tasks.synthetic_task.TEST_SEQUENCES", 300)


def config(**changes: object) -> TrialConfig:
    return TrialConfig.from_flat({**TINY, **{k.replace("__", "."): v for k, v in changes.items()}})


def run(c: TrialConfig, **options: bool) -> list[Record]:
    """The records, without times."""
    *records, done = train(c, **options)
    assert isinstance(done, Result)
    return [*records, replace(done, wall_seconds=0.0, seconds_per_step=0.0)]


def result(records: list[Record]) -> Result:
    assert isinstance(records[-1], Result)
    return records[-1]


@pytest.fixture
def dear_probe(monkeypatch: pytest.MonkeyPatch) -> str:
    """One that returns what it was given, at every stage."""
    monkeypatch.setattr(PROBES, "_things", dict(PROBES.items()))

    @PROBES.register(GradientFlow, at=("init", "training", "final", "best"), dear=True)
    def given(model: Model, batch: Batch, generator: torch.Generator) -> GradientFlow:
        weights = [float(p.detach().sum()) for p in model.parameters()]
        drawn = float(torch.rand((), generator=generator))
        return GradientFlow({"weights": weights, "batch": [len(batch), drawn]}, None, None)

    return "given"


def found(records: list[Record], probe: str) -> list[Probed]:
    return [r for r in records if isinstance(r, Probed) and r.probe == probe]


def test_a_dear_probe_runs_when_it_is_asked_for(dear_probe: str) -> None:
    assert found(run(config()), dear_probe) == []
    asked = [
        run(config(), dear=True),
        run(config(train__probes="all")),
        run(config(train__probes=dear_probe)),
    ]
    each = [found(records, dear_probe) for records in asked]
    assert each[0] == each[1] == each[2]
    assert found(run(config(train__probes="audit"), dear=True), dear_probe) == []
    assert run(config(train__probes="none"), dear=True) == [
        r for r in asked[0] if not isinstance(r, Probed)
    ]


def test_a_probe_sees_the_network_of_its_stage(dear_probe: str) -> None:
    c = config(train__lr=0.3, train__evaluate_every=1, train__steps=30, train__probes=dear_probe)
    records = run(c)
    done = result(records)
    stages = {(r.stage, r.step): r.finding for r in found(records, dear_probe)}
    assert next(iter(stages)) == ("init", 0)
    assert [*stages][-2:] == [("final", 30), ("best", done.best_step)]
    assert 0 < done.best_step < 30
    weights = {}
    for at, finding in stages.items():
        assert isinstance(finding, GradientFlow)
        assert finding.norms["batch"][0] == 60
        weights[at] = finding.norms["weights"]
    assert weights["init", 0] == [float(p.detach().sum()) for p in build_model(c).parameters()]
    (trained,) = [r for r in records if isinstance(r, Trained)]
    kept = build_model(c)
    kept.load_state_dict(trained.parameters)
    assert weights["best", done.best_step] == [float(p.detach().sum()) for p in kept.parameters()]
    assert weights["final", 30] != weights["best", done.best_step]
    within = [step for stage, step in stages if stage == "training"]
    assert within == c.train.probe_steps()
    # Budgets do not change the updates: stopping there ends with the same network.
    stopped = found(run(config(train__lr=0.3, train__evaluate_every=1, train__steps=within[-1],
                               train__probes=dear_probe)), dear_probe)  # fmt: skip
    last = next(r.finding for r in stopped if r.stage == "final")
    assert isinstance(last, GradientFlow)
    assert last.norms["weights"] == weights["training", within[-1]]


def test_a_probes_draws_are_its_own(dear_probe: str) -> None:
    def draws(seed: int) -> list[float]:
        records = run(config(train__probes=dear_probe, seed=seed))
        findings = [r.finding for r in found(records, dear_probe)]
        return [f.norms["batch"][1] for f in findings if isinstance(f, GradientFlow)]

    one = draws(0)
    assert len(set(one)) == len(one), "new ones for every measurement"
    assert draws(0) == one
    assert not set(draws(1)) & set(one)


def test_what_diverged_has_no_best(dear_probe: str) -> None:
    c = config(train__optimizer="sgd", train__lr=1e6, clip="none", train__probes=dear_probe,
               model__cell="elman", model__phi="relu", train__steps=50)  # fmt: skip
    records = run(c)
    assert result(records).outcome == "diverged"
    stages = [r.stage for r in found(records, dear_probe)]
    assert (stages[0], stages[-1]) == ("init", "final")
    assert "best" not in stages


@pytest.mark.parametrize("test", [False, True])
def test_confirmations_have_the_dear_probes(
    test: bool, dear_probe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, dict[str, object]]] = []

    class Line(worker._Line):
        def __init__(self) -> None:
            self.key = ""

        def send(self, kind: str, **content: object) -> None:
            sent.append((kind, content))

    job = {"key": "k", "config": config().flat(), "test": test, "dear": test, "may_stop": False}
    worker._work(Line(), job)
    assert sent[-1][0] == "result"
    probes = {content["probe"] for kind, content in sent if kind == "probe"}
    assert "state_gradients" in probes
    assert (dear_probe in probes) == test


def test_a_probe_that_fails_costs_the_trial_nothing_else(
    dear_probe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = result(run(config(train__probes="none")))

    def broken(self: Probe, subject: object) -> None:
        if self.name == dear_probe:
            raise ZeroDivisionError("what was not foreseen")
        return real(self, subject)  # type: ignore[arg-type]

    real = Probe.__call__
    monkeypatch.setattr(Probe, "__call__", broken)
    chosen = config(train__probes=f"default,{dear_probe}")
    records = run(chosen)
    failed = found(records, dear_probe)
    assert failed
    assert all(r.finding is None and "ZeroDivisionError" in r.failure for r in failed)
    assert all(r.failure == "" for r in found(records, "gradient_flow"))
    done = result(records)
    assert (done.outcome, done.best, done.steps) == (plain.outcome, plain.best, plain.steps)

    record = TrialRecord("k", "n", "trial", {}, start_ms=1)
    for each in records:
        kind, content = message(each, chosen)
        record.add(kind, {**content, "ms": 1})
    record = TrialRecord.from_json(record.to_json())
    assert record.outcome == done.outcome
    written = record.to_run()
    assert written.tags["probes.failed"] == dear_probe
    assert b"what was not foreseen" in written.files[f"{dear_probe}.json"]
    assert not [p.key for p in written.points if p.key.startswith(dear_probe)]
