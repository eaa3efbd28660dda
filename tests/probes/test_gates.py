"""Gates, their timescales, norms and dead units against networks made by hand."""

import json
import math

import numpy as np
import pytest
import torch
from cases import each
from probed import SHAPES, by_hand, made, of_shape, read

from study.cells import CELLS
from study.initializers.gates import keeper
from study.language.cell import Cell
from study.networks.layer import Layer
from study.networks.predictor import Predictor
from study.probes.gates import Gates, activations, gates
from study.tasks.base import NO_TARGET, Batch, Task


@pytest.fixture(scope="module")
def task() -> Task:
    return made(task__name="adding", task__length=10)[1]


def sigmoid(a: float) -> float:
    return 1 / (1 + math.exp(-a))


def some(steps: int = 7, sequences: int = 5, inputs: int = 1) -> Batch:
    draws = torch.Generator().manual_seed(1)
    return read(torch.randn(steps, sequences, inputs, generator=draws))


@pytest.mark.parametrize("bias", [-3.0, 0.0, 1.0, 5.0])
def test_the_forget_gate_of_an_lstm_without_weights_is_its_bias(bias: float, task: Task) -> None:
    found = gates(by_hand("lstm", 1, 4, b_f=bias), task, some())
    assert found is not None
    assert set(found.activity) == {"i", "f", "o"}
    assert found.activity["f"].mean == pytest.approx(sigmoid(bias), rel=1e-12)
    assert found.activity["f"].closed == (sigmoid(bias) < 0.1)
    assert found.activity["f"].open == (sigmoid(bias) > 0.9)
    assert found.activity["i"].mean == 0.5
    assert found.keeper == "f"
    assert found.timescales == pytest.approx([1 + math.exp(bias)] * 4, rel=1e-12)
    # The adding problem of 10 steps asks for no fewer than 5.
    assert found.lag[0] == 5
    assert found.summary()["timescale_reaches_lag"] == (1 + math.exp(bias) >= 5)
    assert found.norms == {"h": [0] * 7, "c": [0] * 7}


@each("name", [n for n in CELLS if keeper(CELLS[n])])
def test_without_weights_every_cell_keeps_as_long_as_its_bias_says(name: str) -> None:
    task, gate = made(task__name="adding", task__length=10)[1], keeper(CELLS[name])
    assert gate is not None
    model = by_hand(name, 1, 3, **{gate.bias: torch.tensor([-2.0, 0.0, 1.5])})
    found = gates(model, task, some())
    assert found is not None
    logits = [gate.sign * (b + gate.offset) for b in (-2, 0, 1.5)]
    assert found.timescales == pytest.approx([1 + math.exp(a) for a in logits], rel=1e-9)


def test_what_is_read_opens_the_gate_and_the_mean_comes_before_the_timescale(task: Task) -> None:
    # f = σ(x), x = ±4 as often: f̄ = 1/2 and τ = 2, not the mean of 1 + e^4 and 1 + e^-4.
    model = by_hand("lstm", 1, 2, W_f=1)
    inputs = torch.tensor([4.0, -4, -4, 4])[:, None, None].expand(4, 3, 1)
    found = gates(model, task, read(inputs))
    assert found is not None
    f = found.activity["f"]
    assert (f.mean, f.closed, f.open) == (pytest.approx(0.5), 0.5, 0.5)
    assert found.timescales == pytest.approx([2, 2])


def test_a_gate_that_is_always_open_has_no_timescale(task: Task) -> None:
    model = by_hand("lstm", 1, 2, b_f=torch.tensor([0.0, 100.0]))
    found = gates(model, task, some())
    assert found is not None
    assert found.timescales == [pytest.approx(2), None]
    assert found.summary()["timescale_max"] == pytest.approx(2)
    assert found.summary()["timescale_reaches_lag"] == 0.5


def test_steps_beyond_the_end_are_not_counted(task: Task) -> None:
    model = by_hand("lstm", 1, 2, W_f=1)
    ends = torch.tensor([0, 2])
    inputs = torch.tensor([[1.0, 2], [50, 3], [50, 4], [50, 50]])[..., None]
    found = gates(model, task, read(inputs, ends))
    assert found is not None
    seen = [sigmoid(x) for x in (1, 2, 3, 4)]
    assert found.activity["f"].mean == pytest.approx(sum(seen) / 4)
    assert len(found.norms["h"]) == 3


def test_a_trained_lstm_against_a_loop_of_its_own() -> None:
    model, task = made(task__name="adding", task__length=9, model__hidden=4, seed=5)
    batch = task.validation().take(slice(6))
    found = gates(model, task, batch)
    assert found is not None
    p = {n: v.detach().double() for n, v in model.layer.named_parameters()}
    h = c = torch.zeros(6, 4, dtype=torch.float64)
    forget, norms = [], {"h": [], "c": []}
    for x in batch.inputs.double():
        i, f, g, o = (x @ p[f"W_{n}"].T + h @ p[f"U_{n}"].T + p[f"b_{n}"] for n in "ifgo")
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        forget.append(f.sigmoid())
        norms["h"].append(float(h.norm(dim=1).mean()))
        norms["c"].append(float(c.norm(dim=1).mean()))
    f = torch.stack(forget)
    assert found.activity["f"].mean == pytest.approx(float(f.mean()))
    assert found.timescales == pytest.approx((1 / (1 - f.mean(dim=(0, 1)))).tolist())
    for state, values in norms.items():
        assert found.norms[state] == pytest.approx(values)
        slope = np.polyfit(range(5), values[4:], 1)[0]
        assert found.drift_per_step[state] == pytest.approx(slope)


def test_a_state_that_adds_up_drifts_by_what_it_reads(task: Task) -> None:
    model = by_hand("linear", 1, 4, U=torch.eye(4), W=1)
    found = gates(model, task, read(torch.full((10, 3, 1), 0.5)))
    assert found is not None
    assert found.norms["h"] == pytest.approx([0.5 * 2 * t for t in range(1, 11)])
    assert found.drift_per_step["h"] == pytest.approx(1)
    assert (found.activity, found.keeper, found.timescales) == ({}, None, None)
    assert gates(model, task, read(torch.ones(1, 3, 1))).drift_per_step == {"h": None}  # type: ignore[union-attr]


def test_dead_units_are_zero_at_every_step_of_every_sequence(task: Task) -> None:
    # Unit 0 is never active, unit 1 at one step of one sequence, units 2 and 3 at others.
    w = torch.tensor([[1.0], [1.0], [1.0], [-1.0]])
    b = torch.tensor([-9.0, -2.5, 0.0, 0.0])
    model = by_hand("elman", 1, 4, "relu", W=w, b=b)
    inputs = torch.tensor([[1.0, -1], [2, -2], [1, 3]])[..., None]
    found = gates(model, task, read(inputs))
    assert found is not None
    assert found.zero == {"h": 0.25}
    # Without the step that has 3 in it, which then lies beyond the end.
    found = gates(model, task, read(inputs, torch.tensor([2, 1])))
    assert found is not None
    assert found.zero == {"h": 0.5}
    assert found.summary()["h/zero"] == 0.5


def test_only_a_sigmoid_that_multiplies_is_a_gate() -> None:
    assert set(activations(CELLS["gru"])) == {"r", "z"}  # r within a matrix's operand
    assert set(activations(CELLS["slstm"])) == {"f"}  # i is exponential
    assert set(activations(CELLS["lstm-fgr"])) == {"i", "f", "o"}  # gates that are states
    assert set(activations(CELLS["nas"])) == set()  # a sigmoid that is added
    assert set(activations(CELLS["scrn"])) == set()  # a sigmoid that is a state
    assert set(activations(CELLS["sgu"])) == {"z"}  # a hard one


def test_an_exponential_gate_has_no_timescale(task: Task) -> None:
    cell = Cell(
        "exponential",
        "h",
        """
        f = W_f x + b_f
        h' = exp(-relu(f))*h + W x
        """,
        "these tests",
        forget_gate="f",
    )
    model = Predictor(Layer(cell, 1, 2, dtype=torch.float64, engine="reference"), 1, "last")
    found = gates(model, task, some())
    assert found is not None
    assert (found.activity, found.keeper, found.timescales) == ({}, None, None)


@each("name", CELLS)
def test_every_cell_is_measured(name: str) -> None:
    model, task = made(task__name="adding", task__length=8, model__cell=name, model__hidden=3)
    found = gates(model, task, task.validation().take(slice(4)))
    assert found is not None
    assert Gates.from_dict(json.loads(json.dumps(found.as_dict()))) == found
    assert all(math.isfinite(v) for v in found.summary().values())
    assert set(found.norms) == set(CELLS[name].variables)
    for activity in found.activity.values():
        assert 0 < activity.mean < 1
    named = CELLS[name].forget_gate or CELLS[name].update_gate
    assert found.keeper == named
    assert (found.timescales is None) == (named is None)
    assert all(tau is not None and tau > 1 for tau in found.timescales or ())


@each("shape", SHAPES)
def test_every_kind_of_network_is_measured(shape: str) -> None:
    found = gates(*of_shape(shape))
    assert found is not None
    assert found.keeper == "f"
    assert len(found.timescales or ()) == 4


def test_where_one_step_is_read_the_layer_that_writes_is_measured() -> None:
    model, task, batch = of_shape("one step read")
    found = gates(model, task, batch)
    assert found is not None
    assert len(found.norms["h"]) == len(batch.targets) > 10
    short = batch.targets.clone()
    short[10:] = NO_TARGET  # nothing is written there
    found = gates(model, task, Batch(batch.inputs, short))
    assert found is not None
    assert len(found.norms["h"]) == 10


def test_where_more_is_read_it_is_the_layer_that_reads() -> None:
    model, task = made(task__name="number-words", model__hidden=4)
    batch = task.validation().take(slice(8))
    found = gates(model, task, batch)
    assert found is not None
    assert len(found.norms["h"]) == len(batch.inputs) != len(batch.targets)


def test_the_model_and_the_order_of_sequences_do_not_matter() -> None:
    model, task = made(task__name="temporal-order", task__length=12, model__hidden=3, seed=1)
    batch = task.validation().take(slice(20))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    found, again = (gates(model, task, b) for b in (batch, batch.take(torch.randperm(20))))
    assert found is not None
    assert again is not None
    assert found.summary() == pytest.approx(again.summary(), rel=1e-12)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_both_engines_visit_the_same_states() -> None:
    model, task = made(task__name="temporal-order", task__length=12, model__hidden=3, seed=1)
    batch = task.validation().take(slice(20))
    found = []
    for engine in ("reference", "native"):
        model.layer.engine = engine
        measured = gates(model, task, batch)
        assert measured is not None
        found.append(measured.summary())
    assert found[0] == pytest.approx(found[1], rel=1e-10)  # float64, sums in another order


def test_states_that_explode_are_none(task: Task) -> None:
    model = by_hand("linear", 1, 2, U=1e60, W=1)
    assert gates(model, task, read(torch.ones(5, 3, 1))) is None
