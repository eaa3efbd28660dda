"""Every probe there is, whatever it measures; and which ones a setting chooses."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from cases import each

from study.base.errors import UserError
from study.networks.model import Model
from study.probes import PROBES, Probe, Subject
from study.probes.base import Probes
from study.probes.gradient_flow import GradientFlow
from study.tasks.base import Batch, Task
from study.trial.config import TrialConfig
from study.trial.construction import build_model
from study.trial.probing import Probing

SMALL = {"model.hidden": 3}
NETWORKS = {
    "lstm": {"task.name": "adding", "task.length": 7},
    "relu": {"task.name": "adding", "task.length": 7, "model.cell": "elman", "model.phi": "relu"},
    "unequal ends": {"task.name": "temporal-order", "task.length": 20, "model.cell": "gru"},
    "two layers, two directions": {
        "task.name": "temporal-order",
        "task.length": 20,
        "model.layers": 2,
        "model.bidirectional": True,
    },
    "every step": {"task.name": "copy", "task.length": 3, "model.cell": "elman"},
    "text": {"task.name": "hello"},
    "encoder and decoder": {"task.name": "transduction", "task.length": 3},
    "attention": {"task.name": "transduction", "task.length": 3, "attention": "soft"},
    "a sequence from one symbol": {"task.name": "digit-drawing"},
    "skips": {"task.name": "adding", "task.length": 7, "model.cell": "skip-2"},
}


def made(name: str, engine: str = "auto") -> tuple[Model, Task, Batch]:
    config = TrialConfig.from_flat({**SMALL, **NETWORKS[name], "train.engine": engine})
    return build_model(config), config.task, config.task.validation().take(slice(5))


def subject(model: Model, task: Task, batch: Batch) -> Subject:
    return Subject(model, task, batch, torch.Generator().manual_seed(3))


def fitting() -> Iterator[tuple[str, str]]:
    for network in NETWORKS:
        model, task, _ = made(network)
        yield from ((name, network) for name, p in PROBES.items() if p.why_not(model, task) is None)


CASES = list(fitting())


def test_every_probe_fits_a_network_here() -> None:
    assert {name for name, _ in CASES} == set(PROBES)


@each(("name", "network"), CASES)
def test_a_finding_is_plain_and_comes_back_from_json(name: str, network: str) -> None:
    probe = PROBES[name]
    found = probe(subject(*made(network)))
    if found is None:
        return
    assert type(found) is probe.finding
    text = json.dumps(found.as_dict(), allow_nan=False)
    assert probe.finding.from_dict(json.loads(text)) == found
    assert probe.finding.from_dict(json.loads(text)).summary() == found.summary()
    assert all(type(v) is float and math.isfinite(v) for v in found.summary().values())


@pytest.mark.parametrize("name", list(PROBES))
def test_a_probe_finds_something_somewhere(name: str) -> None:
    assert any(
        PROBES[name](subject(*made(network))) is not None for n, network in CASES if n == name
    )


@each(("name", "network"), CASES)
def test_the_same_again_and_nothing_is_changed(name: str, network: str) -> None:
    model, task, batch = made(network)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    inputs, training = batch.inputs.clone(), model.training
    trained = [p.requires_grad for p in model.parameters()]
    random = torch.get_rng_state()
    one = PROBES[name](subject(model, task, batch))
    assert torch.equal(torch.get_rng_state(), random), "the global generator has no say"
    assert model.training == training
    assert torch.equal(batch.inputs, inputs)
    for key, value in model.state_dict().items():
        assert value.dtype == before[key].dtype
        assert torch.equal(value, before[key])
    assert [p.requires_grad for p in model.parameters()] == trained
    assert all(p.grad is None for p in model.parameters())
    torch.manual_seed(99)
    assert PROBES[name](subject(model, task, batch)) == one


@each(("name", "network"), CASES)
def test_the_order_of_the_sequences_does_not_matter(name: str, network: str) -> None:
    model, task, batch = made(network)
    one = PROBES[name](subject(model, task, batch))
    other = PROBES[name](subject(model, task, batch.take(torch.randperm(len(batch)))))
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        # Sums are in another order: rounding in float64, and in float32 where attention is looked at.
        assert other.summary() == pytest.approx(one.summary(), rel=1e-5, abs=1e-9)


@each(("name", "network"), [c for c in CASES if c[1] in ("lstm", "skips", "encoder and decoder")])
def test_the_engine_does_not_matter(name: str, network: str) -> None:
    one, other = (
        PROBES[name](subject(*made(network, engine))) for engine in ("native", "reference")
    )
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert other.summary() == pytest.approx(one.summary(), rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("name", list(PROBES))
def test_a_probe_says_what_it_measures(name: str) -> None:
    probe = PROBES[name]
    assert probe.about.endswith(".")
    assert probe.stages
    assert name.isidentifier(), "it names a file and metrics"


# --- what a setting chooses ----------------------------------------------------------------------


def a_flow(model: Model, task: Task, batch: Batch, draws: int = 3) -> GradientFlow:
    return GradientFlow({"h": [float(draws)]}, None, None)


@pytest.fixture
def probes() -> Probes:
    """cheap, costly (dear), also."""
    found = Probes("probe")
    for name, dear in (("cheap", False), ("costly", True), ("also", False)):

        def measure(model: Model) -> GradientFlow:
            return a_flow(model, None, None)  # type: ignore[arg-type]

        measure.__name__ = name
        found.register(GradientFlow, at=("init",), dear=dear)(measure)
    return found


def names(chosen: list[Probe]) -> list[str]:
    return [probe.name for probe in chosen]


@pytest.mark.parametrize(
    ("text", "dear", "expected"),
    [
        ("default", False, ["cheap", "also"]),
        ("default", True, ["cheap", "costly", "also"]),
        ("none", True, []),
        ("all", False, ["cheap", "costly", "also"]),
        ("costly", False, ["costly"]),
        ("also, cheap", True, ["cheap", "also"]),
        ("default,costly", False, ["cheap", "costly", "also"]),
    ],
)
def test_what_is_chosen(probes: Probes, text: str, dear: bool, expected: list[str]) -> None:
    assert names(probes.chosen(text, dear=dear)) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cheep", "no probe named 'cheep'; did you mean 'cheap'? known: default, none, all, cheap"),
        ("", "no probe named ''"),
        ("cheap,", "no probe named ''"),
        ("none,cheap", "'none' goes with no other name"),
        ("cheap,all", "'all' goes with no other name"),
        ("cheap,cheap", "'cheap,cheap' has a name twice"),
    ],
)
def test_what_cannot_be_chosen(probes: Probes, text: str, message: str) -> None:
    with pytest.raises(UserError, match="probe") as told:
        probes.chosen(text)
    assert message in str(told.value)


def test_a_probe_gets_what_it_names() -> None:
    found = Probes("probe")

    @found.register(GradientFlow, at=("init",))
    def some(batch: Batch, width: int, generator: torch.Generator, lags: int = 2) -> GradientFlow:
        return GradientFlow({"h": [len(batch), width, lags]}, None, None)

    of = replace(subject(*made("lstm")), width=7)
    flow = found["some"](of)
    assert isinstance(flow, GradientFlow)
    assert flow.norms == {"h": [5, 7, 2]}


def test_what_a_probe_cannot_be_given_is_told() -> None:
    with pytest.raises(ValueError, match="probe 'more': nothing is given as 'layers'"):

        @Probes("probe").register(GradientFlow, at=("init",))
        def more(model: Model, layers: int) -> None:
            return None

    with pytest.raises(ValueError, match="no stage 'end'"):
        Probes("probe").register(GradientFlow, at=("end",))  # type: ignore[arg-type]


# --- in a trial ----------------------------------------------------------------------------------


def config(**train: object) -> TrialConfig:
    settings = {f"train.{name}": value for name, value in train.items()}
    return TrialConfig.from_flat({**SMALL, **NETWORKS["lstm"], **settings})


@pytest.mark.parametrize(
    ("steps", "every", "points", "expected"),
    [
        (1200, 50, 8, [50, 100, 150, 250, 350, 550, 800]),
        (1000, 1, 3, [1, 10, 100]),
        (64, 1, 6, [1, 2, 4, 8, 16, 32]),
        (20, 5, 8, [5, 10, 15]),
        (20, 30, 8, []),
        (20, 20, 8, []),
        (100, 10, 0, []),
    ],
)
def test_set_points_are_evenly_spread_on_a_log_scale(
    steps: int, every: int, points: int, expected: list[int]
) -> None:
    given = config(steps=steps, evaluate_every=every, probe_points=points).train
    assert given.probe_steps() == expected


def test_within_training_a_point_counts_once_however_far_it_is_passed() -> None:
    c = config(steps=64, evaluate_every=1, probe_points=6, probes="state_gradients")
    probing = Probing(c, c.task.validation(), dear=False)
    model = build_model(c)
    measured = [step for step in (1, 3, 7, 9, 10, 40, 63) if list(probing.within(step, model))]
    assert measured == [1, 3, 7, 9, 40]


def test_a_setting_is_checked() -> None:
    with pytest.raises(UserError, match=r"train\.probes: no probe named 'audits'.*'audit'"):
        config(probes="audits")
    assert names(config(probes="audit").train.chosen_probes(dear=True)) == ["audit"]
