"""The condition of single steps and the leading exponent, where both are known without the probe."""

import math
from functools import partial

import pytest
import torch
from cases import each
from networks_by_hand import SHAPES, TASK, by_hand, drawn, made, map_of, of_shape
from torch import Generator, Tensor
from torch.autograd.functional import jacobian

from study.cells import CELLS
from study.networks.layer import Layer
from study.networks.model import Model
from study.probes import conditioning as module
from study.probes.conditioning import Conditioning, conditioning, visited_times
from study.probes.jacobians import jacobians
from study.probes.lyapunov import endless, growths, lyapunov
from study.probes.trajectory import in_order, reading
from study.tasks.base import Batch, Task

ONE = torch.ones(1, 1, dtype=torch.float64)


def silence(steps: int, size: int = 2) -> Batch:
    return Batch(torch.zeros(steps, size, 1), torch.zeros(1, size, 1))


def measured(model: Model, batch: Batch, **options: int) -> dict[str, float]:
    found = conditioning(model, TASK, batch, **options)
    assert found is not None
    return found.summary()


@pytest.mark.parametrize("size", [1.0, 0.3, 4.0])
def test_a_scaled_isometry(size: float) -> None:
    """U = a Q: every direction grows by a, whatever the drawn one is, and the condition is 1."""
    turn = torch.linalg.qr(drawn(6, 6)).Q
    summary = measured(by_hand("elman", 6, "identity", U=size * turn), silence(9))
    level = math.log(size)
    expected = {"largest_exponent": level, "step_log_largest": level, "step_log_condition": 0}
    expected |= {"step_log_rms": abs(level), "step_lost": 0}
    assert summary == pytest.approx(expected, abs=1e-12)


def test_singular_values_are_no_eigenvalues() -> None:
    """A triangular matrix: λ_1 is ln of the largest entry on its diagonal, the condition is numpy's."""
    matrix = drawn(5, 5, seed=1).triu(1) + torch.tensor([1.2, 0.6, -0.5, 0.3, 0.1]).diag().double()
    found = conditioning(by_hand("elman", 5, "identity", U=matrix), TASK, silence(9), transient=60)
    assert found is not None
    values = torch.linalg.svdvals(matrix)
    assert found.step is not None
    assert found.step.mean == pytest.approx(values.log().tolist(), abs=1e-12)
    assert found.step.spread == pytest.approx([0] * 5, abs=1e-12)
    assert found.largest_exponent == pytest.approx(math.log(1.2), abs=1e-6)  # .5^60 is left
    summary = found.summary()
    assert summary["step_log_condition"] == pytest.approx(float(torch.linalg.cond(matrix).log()))
    mean_square = float(values.log().square().mean())
    assert summary["step_log_rms"] == pytest.approx(math.sqrt(mean_square))


def test_one_unit_on_inputs_that_are_read() -> None:
    """h' = tanh(.8 h + x): both are the mean of ln(.8 (1 - h²)), over streams from each sequence on."""
    x = drawn(7, 2, 1)
    ends = torch.tensor([6, 4])
    x[5:, 1] = 0
    model = by_hand("elman", 1, U=0.8 * ONE, W=ONE)
    found = conditioning(
        model, TASK, Batch(x, torch.zeros(1, 2, 1), ends), steps=11, transient=3, matrices=4
    )
    assert found is not None
    whole = [x[: int(end) + 1, b, 0].tolist() for b, end in enumerate(ends)]
    total, slopes = 0.0, []
    for stream in (whole[0] + whole[1], whole[1] + whole[0]):
        h, logs = 0.0, []
        for value in (stream + stream)[:14]:
            h = math.tanh(0.8 * h + value)
            logs.append(math.log(0.8 * (1 - h * h)))
        total += sum(logs[3:]) / 11
        slopes.append(logs)
    assert found.largest_exponent == pytest.approx(total / 2, abs=1e-12)
    assert found.times == [1, 2, 3, 4]
    # Which of the two sequences is the first one follows from what they hold.
    choices = [[slopes[(k + b) % 2][t] for k, t in enumerate(found.times)] for b in (0, 1)]
    assert found.step is not None
    assert any(found.step.mean == pytest.approx([sum(c) / 4], abs=1e-12) for c in choices)


def lstm_step(layer: Layer, x: Tensor, state: Tensor) -> Tensor:
    h, c = state.chunk(2)

    def gate(name: str) -> Tensor:
        w, u, b = (getattr(layer, f"{kind}_{name}") for kind in "WUb")
        return w @ x + u @ h + b

    c = torch.sigmoid(gate("f")) * c + torch.sigmoid(gate("i")) * torch.tanh(gate("g"))
    return torch.cat([torch.sigmoid(gate("o")) * torch.tanh(c), c])


def test_lstm_against_autograd_on_a_loop_of_its_own() -> None:
    model, task = made(task__length=12, model__hidden=3, seed=3)
    batch = task.validation().take(slice(1)).to(torch.float64)
    found = conditioning(model, task, batch, matrices=3)
    assert found is not None
    assert (found.size, found.sequences) == (6, 1)
    layer = model.double().top
    state, logs = torch.zeros(6, dtype=torch.float64), []
    for t, x in enumerate(batch.inputs[:, 0]):
        step = partial(lstm_step, layer, x)
        if t in found.times:
            logs.append(torch.linalg.svdvals(jacobian(step, state)).log())
        state = step(state).detach()
    rows = torch.stack(logs)
    assert found.step is not None
    assert found.step.mean == pytest.approx(rows.mean(0).tolist(), abs=1e-9)
    condition = float((rows[:, 0] - rows[:, -1]).mean())
    assert found.summary()["step_log_condition"] == pytest.approx(condition, abs=1e-9)


@pytest.mark.parametrize("cell", ["elman", "lstm", "gru", "skip-2"])
def test_what_the_dear_probes_say(cell: str) -> None:
    """The exponent is that of the same vector by QR exactly, and near that of 1,000 steps."""
    model, task = made(model__cell=cell, task__length=30, model__hidden=6)
    batch = task.validation().take(slice(8))
    found = conditioning(model, task, batch, generator=Generator().manual_seed(5))
    assert found is not None
    read = reading(model, task, in_order(batch))
    path = read.over(endless(read, 8, module.TRANSIENT + module.STEPS), read.start)
    with torch.no_grad():
        grown = growths(path, 1, Generator().manual_seed(5))
    assert grown is not None
    exact = float(grown[module.TRANSIENT :].mean())
    assert found.largest_exponent == pytest.approx(exact, abs=1e-10)
    long = lyapunov(model, task, batch, exponents=1)
    assert long is not None
    assert long.exponents[0] == pytest.approx(exact, abs=0.02)  # what 64 steps know
    dear = jacobians(model, task, batch)
    assert dear is not None
    assert dear.step is not None
    assert found.step is not None
    assert found.step.mean[0] == pytest.approx(dear.step.mean[0], abs=0.1)  # of other times


def test_what_is_singular_is_absent() -> None:
    """ReLU with bias -9 in two units of five: their rows are zero."""
    bias = torch.tensor([1, 1, 1, -9, -9], dtype=torch.float64)
    summary = measured(by_hand("elman", 5, "relu", U=drawn(5, 5) / 9, b=bias), silence(10))
    assert summary.keys() == {"largest_exponent", "step_log_largest", "step_lost"}
    assert summary["step_lost"] == pytest.approx(2 / 5)
    dead = measured(by_hand("elman", 5, "relu", b=bias - 5), silence(10))
    assert dead == {"step_lost": 1}


def test_what_float64_does_not_resolve_is_absent() -> None:
    u, v = (torch.linalg.qr(drawn(4, 4, seed=k)).Q for k in range(2))
    for small, known in ((1e-10, True), (1e-18, False)):
        matrix = (u * torch.tensor([1, 0.5, 0.1, small], dtype=torch.float64)) @ v
        summary = measured(by_hand("elman", 4, "identity", U=matrix), silence(10))
        assert ("step_log_condition" in summary) == known
        if known:
            assert summary["step_log_condition"] == pytest.approx(-math.log(small), abs=0.01)


def test_no_number_is_none() -> None:
    broken = by_hand("elman", 2, U=torch.full((2, 2), math.nan, dtype=torch.float64))
    assert conditioning(broken, TASK, silence(4)) is None
    growing = by_hand("elman", 1, "identity", U=1e30 * ONE, W=ONE)
    assert conditioning(growing, TASK, Batch(torch.ones(4, 2, 1), torch.zeros(1, 2, 1))) is None


def test_the_index_of_the_step_is_no_part_of_the_state() -> None:
    summary = measured(by_hand(map_of("h' = 0.5*h + t"), 2), silence(4))
    expected = {"largest_exponent": -math.log(2), "step_log_largest": -math.log(2)}
    assert summary == pytest.approx(
        expected | {"step_log_condition": 0, "step_log_rms": math.log(2), "step_lost": 0}
    )


def test_of_a_large_state_the_exponent_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST", 8)
    turn = torch.linalg.qr(drawn(3, 3)).Q
    model = by_hand("skip-only-3", 3, "identity", U=turn)
    assert measured(model, silence(6)) == pytest.approx({"largest_exponent": 0}, abs=1e-9)


@pytest.mark.parametrize(
    ("length", "count", "expected"),
    [(1, 3, [0, 0, 0]), (2, 2, [1, 1]), (5, 4, [1, 2, 3, 4]), (9, 2, [3, 7])],
)
def test_the_times(length: int, count: int, expected: list[int]) -> None:
    assert visited_times(length, count).tolist() == expected


def check(model: Model, task: Task, batch: Batch) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = conditioning(model, task, batch, steps=8, transient=4, matrices=3)
    assert found is not None
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert Conditioning.from_dict(found.as_dict()) == found
    summary = found.summary()
    assert all(math.isfinite(value) for value in summary.values())
    assert {"largest_exponent", "step_log_largest"} <= summary.keys()
    assert ("step_log_condition" in summary) == (summary["step_lost"] == 0)
    # No vector grows by more than σ_1, which is of some of the steps.
    assert summary["largest_exponent"] <= summary["step_log_largest"] + 0.5


@each("name", list(CELLS))
def test_every_cell_is_measured(name: str) -> None:
    model, task = made(model__cell=name, model__hidden=4, task__length=6)
    check(model, task, task.validation().take(slice(2)))


@each("shape", list(SHAPES))
def test_networks_of_every_shape(shape: str) -> None:
    model, task = of_shape(shape)
    check(model, task, task.validation().take(slice(2)))
