"""The gradient-flow probe against answers known without it."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from study.language.cell import Cell
from study.networks.layer import Layer
from study.networks.model import Model
from study.networks.predictor import Predictor
from study.probes.gradient_flow import GradientFlow, gradient_flow, half_life, log_slope
from study.tasks.base import Batch, Task
from study.trial.config import TrialConfig
from study.trial.construction import build_model


def made(**flat: object) -> tuple[Model, Task]:
    config = TrialConfig.from_flat({k.replace("__", "."): v for k, v in flat.items()})
    return build_model(config), config.task


def linear(a: float, task: str = "adding", length: int = 30) -> tuple[Model, Task]:
    """h_t = a h_{t-1} + W x_t: ∂L/∂h_t = a^lag ∂L/∂h_T, exactly."""
    return made(
        **{
            "task.name": task,
            "task.length": length,
            "model.cell": "elman",
            "model.phi": "identity",
            "model.hidden": 4,
            "init.recurrent": "scaled-identity",
            "init.recurrent.scale": a,
        }
    )


@pytest.mark.parametrize("a", [0.5, 0.9, 0.99, 1.0, 1.1])
def test_linear_network_decays_by_its_factor(a: float) -> None:
    model, task = linear(a)
    batch = task.validation().take(slice(8))
    flow = gradient_flow(model, task, batch)
    assert flow is not None
    # The loss of one sequence is (w·h_T + b - y)²; its gradient at h_T is 2 (w·h_T + b - y) w.
    with torch.no_grad():
        errors = (model(batch) - batch.targets)[0, :, 0].double()
        weight = model.readout.weight[0].double().norm()
    at_end = float((2 * errors.abs() * weight).mean())
    # float32 holds a; the powers are then exact to float64
    factor = float(torch.tensor(a))
    expected = [at_end * factor**lag for lag in range(30)]
    np.testing.assert_allclose(flow.norms["h"], expected, rtol=1e-5)
    ratios = np.array(flow.norms["h"][1:]) / np.array(flow.norms["h"][:-1])
    np.testing.assert_allclose(ratios, factor, rtol=1e-12)
    assert flow.log_slope_per_step == pytest.approx(math.log(factor), abs=1e-9)
    if a < 1:
        assert flow.half_life_steps == pytest.approx(math.log(2) / -math.log(factor), rel=1e-9)
    if a > 1:
        assert flow.half_life_steps is None


def test_no_decay_has_no_half_life() -> None:
    assert half_life(0.0) is None
    assert half_life(1e-3) is None
    assert half_life(None) is None
    assert half_life(-math.log(2)) == pytest.approx(1)


def test_identity_network_neither_decays_nor_grows() -> None:
    model, task = linear(1.0, length=200)
    flow = gradient_flow(model, task, task.validation().take(slice(4)))
    assert flow is not None
    assert flow.log_slope_per_step == pytest.approx(0, abs=1e-12)
    # Rounding may put a slope of 1e-18 on either side of zero; no reader wants 1e17 steps.
    assert flow.half_life_steps is None or flow.half_life_steps > 1e12


def lstm_by_hand(model: Model, x: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    layer = model.layer
    size = layer.hidden_size
    h, c = x.new_zeros(x.shape[1], size), x.new_zeros(x.shape[1], size)
    hs, cs = [], []
    for t in range(x.shape[0]):

        def gate(name: str, h: torch.Tensor = h, t: int = t) -> torch.Tensor:
            w, u, b = (getattr(layer, f"{kind}_{name}") for kind in "WUb")
            return x[t] @ w.T + h @ u.T + b

        c = torch.sigmoid(gate("f")) * c + torch.sigmoid(gate("i")) * torch.tanh(gate("g"))
        c.retain_grad()
        h = torch.sigmoid(gate("o")) * torch.tanh(c)
        h.retain_grad()
        hs.append(h)
        cs.append(c)
    return hs, cs


def test_lstm_against_autograd_on_a_loop_of_its_own() -> None:
    model, task = made(**{"task.length": 12, "model.hidden": 5, "seed": 3})
    batch = task.validation().take(slice(6))
    flow = gradient_flow(model, task, batch)
    assert flow is not None
    expected = {"h": np.zeros(12), "c": np.zeros(12)}
    model = model.double()
    for i in range(6):
        one = batch.take(slice(i, i + 1)).to(torch.float64)
        hs, cs = lstm_by_hand(model, one.inputs)
        task.loss(model.readout(hs[-1])[None], one.targets).backward()
        for state, steps in (("h", hs), ("c", cs)):
            norms = [float(s.grad.norm()) for s in reversed(steps)]
            expected[state] += np.array(norms) / 6
    assert set(flow.norms) == {"h", "c"}
    for state, values in expected.items():
        np.testing.assert_allclose(flow.norms[state], values, rtol=1e-9)


def test_unequal_ends_are_aligned_at_their_own_last_step() -> None:
    model, task = made(
        **{"task.name": "temporal-order", "task.length": 20, "model.cell": "elman", "seed": 1}
    )
    batch = task.validation().take(slice(40))
    assert batch.ends is not None
    assert len(batch.ends.unique()) == 3
    flow = gradient_flow(model, task, batch)
    assert flow is not None
    by_lag: dict[int, list[float]] = {}
    for i, end in enumerate(batch.ends.tolist()):
        one = batch.take(slice(i, i + 1))
        alone = gradient_flow(model, task, Batch(one.inputs[: end + 1], one.targets))
        assert alone is not None
        for lag, norm in enumerate(alone.norms["h"]):
            by_lag.setdefault(lag, []).append(norm)
    assert len(flow.norms["h"]) == max(by_lag) + 1 == int(batch.ends.max()) + 1
    np.testing.assert_allclose(
        flow.norms["h"], [np.mean(by_lag[lag]) for lag in sorted(by_lag)], rtol=1e-9
    )


def test_norms_below_what_float32_can_hold_stay_positive() -> None:
    model, task = linear(0.25, length=120)
    flow = gradient_flow(model, task, task.validation().take(slice(4)))
    assert flow is not None
    assert 0 < flow.norms["h"][-1] < 1e-45
    assert flow.half_life_steps == pytest.approx(0.5, rel=1e-9)


# 0.5^400 is 1e-120, 0.5^2000 is 1e-602 and 1e-3^300 is 1e-900: far below what float64 holds.
@pytest.mark.parametrize(("a", "length"), [(0.5, 400), (0.5, 2000), (2.0**-10, 300)])
@pytest.mark.parametrize("engine", ["native", "reference"])
def test_slope_and_half_life_are_exact_at_any_lag(engine: str, a: float, length: int) -> None:
    model, task = linear(a, length=length)
    model.layer.engine = engine
    batch = task.validation().take(slice(4))
    flow = gradient_flow(model, task, batch)
    short = gradient_flow(model, task, Batch(batch.inputs[-30:], batch.targets))
    assert flow is not None
    assert short is not None
    assert flow.log_slope_per_step == pytest.approx(math.log(a), rel=1e-12)
    assert flow.half_life_steps == pytest.approx(math.log(2) / -math.log(a), rel=1e-12)
    at_end = flow.norms["h"][0]
    held = [at_end * a**lag for lag in range(length)]
    np.testing.assert_allclose(flow.norms["h"], held, rtol=1e-12, atol=1e-310)
    assert short.norms["h"] == pytest.approx([n * short.norms["h"][0] / at_end for n in held[:30]])


def test_the_slope_counts_every_lag_of_a_tanh_network_with_unequal_ends() -> None:
    model, task = made(
        **{
            "task.name": "temporal-order",
            "task.length": 900,
            "model.cell": "elman",
            "model.hidden": 5,
            "init.recurrent": "scaled-identity",
            "init.recurrent.scale": 0.3,
        }
    )
    batch = task.validation().take(slice(6))
    assert batch.ends is not None
    assert len(batch.ends.unique()) > 1
    flow = gradient_flow(model, task, batch)
    assert flow is not None
    assert flow.norms["h"][-1] == 0
    double = model.double()
    w, u, b = (double.layer.get_parameter(n).detach().numpy() for n in ("W", "U", "b"))
    by_lag: dict[int, list[float]] = {}
    for i, end in enumerate(batch.ends.tolist()):
        one = batch.take(slice(i, i + 1)).to(torch.float64)
        states, h = [], np.zeros(5)
        for x in one.inputs[: end + 1, 0].numpy():
            h = np.tanh(w @ x + u @ h + b)
            states.append(h)
        last = torch.tensor(h)[None, None].requires_grad_()
        task.loss(double.readout(last), one.targets).backward()
        assert last.grad is not None
        gradient, log = last.grad[0, 0].numpy(), 0.0
        for lag, h in enumerate(reversed(states)):
            size = float(np.linalg.norm(gradient))
            gradient, log = gradient / size, log + math.log(size)
            by_lag.setdefault(lag, []).append(log)
            gradient = u.T @ ((1 - h**2) * gradient)
    means = [np.logaddexp.reduce(by_lag[n]) - math.log(len(by_lag[n])) for n in range(len(by_lag))]
    assert means[-1] < -1000
    slope = np.polyfit(range(len(means)), means, 1)[0]
    assert flow.log_slope_per_step == pytest.approx(slope, rel=1e-10)


def test_a_gradient_that_vanishes_and_grows_again() -> None:
    # h stays 0, and the gradient is multiplied by each step's input.
    gated = Cell(name="gated", state="h", equations="h' = (W x)*h", source="these tests")
    model = Predictor(Layer(gated, 1, 3), 1, "last")
    torch.nn.init.ones_(model.layer.W)
    _, task = made(task__length=4)
    exponents = np.array([4] * 500 + [-4] * 500)
    x = 2.0 ** torch.from_numpy(exponents)[:, None, None]
    flow = gradient_flow(model, task, Batch(x, torch.ones(1, 1, 1)))
    assert flow is not None
    levels = np.cumsum([0, *exponents[:0:-1]])
    assert levels.min() == -2000
    assert levels[-1] == -4
    expected = flow.norms["h"][0] * 2.0**levels
    np.testing.assert_allclose(flow.norms["h"], expected, rtol=1e-12, atol=1e-310)
    slope = np.polyfit(np.arange(1000), levels * math.log(2), 1)[0]
    assert flow.log_slope_per_step == pytest.approx(slope, abs=1e-12)


def test_what_vanishes_by_itself_is_zero() -> None:
    model, task = linear(0.5)
    torch.nn.init.zeros_(model.layer.U)
    flow = gradient_flow(model, task, task.validation().take(slice(4)))
    assert flow is not None
    assert flow.norms["h"][0] > 0
    assert set(flow.norms["h"][1:]) == {0.0}
    assert flow.log_slope_per_step is None


def test_copy_counts_the_loss_of_the_last_step_only() -> None:
    model, task = linear(0.5, task="copy", length=5)
    batch = task.validation().take(slice(4))
    flow = gradient_flow(model, task, batch)
    assert flow is not None
    # Losses at every step would feed the gradient anew, and it would not decay by ½ a step.
    ratios = np.array(flow.norms["h"][1:]) / np.array(flow.norms["h"][:-1])
    np.testing.assert_allclose(ratios, 0.5, rtol=1e-9)


def test_unequal_ends_of_a_task_read_at_every_step() -> None:
    model, task = linear(0.5, task="variable-copy", length=6)
    batch = task.validation().take(slice(30))
    assert batch.ends is not None
    assert len(batch.ends.unique()) > 3
    flow = gradient_flow(model, task, batch)
    assert flow is not None
    by_lag: dict[int, list[float]] = {}
    for i, end in enumerate(batch.ends.tolist()):
        one = batch.take(slice(i, i + 1))
        alone = gradient_flow(model, task, Batch(one.inputs[: end + 1], one.targets[: end + 1]))
        assert alone is not None
        for lag, norm in enumerate(alone.norms["h"]):
            by_lag.setdefault(lag, []).append(norm)
    np.testing.assert_allclose(
        flow.norms["h"], [np.mean(by_lag[lag]) for lag in sorted(by_lag)], rtol=1e-9
    )
    # Only each one's own last step has a loss: halved at every step back, for every sequence.
    norms = np.array(flow.norms["h"][: int(batch.ends.min()) + 1])
    np.testing.assert_allclose(norms[1:] / norms[:-1], 0.5, rtol=1e-9)


def test_the_number_of_sequences_does_not_scale_the_norm() -> None:
    model, task = linear(0.8)
    one = task.validation().take(slice(1))
    many = one.take(torch.zeros(7, dtype=torch.long))
    a, b = gradient_flow(model, task, one), gradient_flow(model, task, many)
    assert a is not None
    assert b is not None
    np.testing.assert_allclose(a.norms["h"], b.norms["h"], rtol=1e-12)


def test_probe_changes_nothing_in_the_model() -> None:
    model, task = made(**{"task.length": 6, "model.hidden": 3})
    before = {k: v.clone() for k, v in model.state_dict().items()}
    gradient_flow(model, task, task.validation().take(slice(3)))
    for name, value in model.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, before[name])
    assert all(p.grad is None for p in model.parameters())


def test_gradient_that_is_not_finite_is_none() -> None:
    model, task = made(**{"task.length": 6, "model.hidden": 3})
    with torch.no_grad():
        model.readout.weight.fill_(math.nan)
    assert gradient_flow(model, task, task.validation().take(slice(3))) is None


@settings(deadline=None)
@given(st.floats(-3, 3), st.floats(-5, 5), st.integers(2, 60))
def test_log_slope_finds_a_geometric_sequences_factor(
    slope: float, level: float, count: int
) -> None:
    norms = [math.exp(level + slope * lag) for lag in range(count)]
    assert log_slope(norms) == pytest.approx(slope, abs=1e-9)


def test_equal_norms_have_no_slope_however_they_are_rounded() -> None:
    norms = [1.0, 1.0 - 1e-16, 1.0, 1.0 - 2e-16, 1.0 - 2e-16]
    assert log_slope(norms) == 0
    assert half_life(log_slope(norms)) is None
    assert log_slope([1.0, 1.0 - 1e-9, 1.0 - 2e-9]) == pytest.approx(-1e-9)


def test_log_slope_leaves_out_what_underflowed() -> None:
    assert log_slope([1.0, 0.5, 0.25, 0.0, 0.0]) == pytest.approx(-math.log(2))
    assert log_slope([1.0, 0.0, 0.0]) is None
    assert log_slope([0.0, 0.0]) is None
    assert log_slope([]) is None
    assert log_slope([1.0, 0.0, 0.25]) == pytest.approx(-math.log(2))


def test_dictionary_and_back() -> None:
    flow = GradientFlow({"h": [1.0, 0.5]}, -0.69, 1.0)
    assert GradientFlow.from_dict(flow.as_dict()) == flow
