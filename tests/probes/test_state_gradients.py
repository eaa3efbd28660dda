"""State gradients with their spread, against networks whose gradient is known by hand."""

import math

import numpy as np
import pytest
import torch

from study.networks.model import Model
from study.probes.state_gradients import MOST_LAGS, LaggedGradients, state_gradients
from study.tasks.base import Batch, Task
from study.trial.config import TrialConfig
from study.trial.construction import build_model

ROUNDED = 5e-5  # of a logarithm with four digits


def made(**flat: object) -> tuple[Model, Task]:
    config = TrialConfig.from_flat({k.replace("__", "."): v for k, v in flat.items()})
    return build_model(config), config.task


def linear(a: float, length: int = 30) -> tuple[Model, Task]:
    """h_t = a h_{t-1} + W x_t: ∂L/∂h_t = a^lag ∂L/∂h_T, exactly."""
    return made(
        task__length=length,
        model__cell="elman",
        model__phi="identity",
        model__hidden=4,
        init__recurrent="scaled-identity",
        init__recurrent__scale=a,
    )


def measured(model: Model, task: Task, batch: Batch) -> LaggedGradients:
    found = state_gradients(model, task, batch)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("a", "length", "verdict"),
    [
        (0.5, 30, "vanishing"),
        (0.75, 20, "kept"),  # 0.75^19 = 4.2e-3
        (0.75, 30, "vanishing"),  # 0.75^29 = 2.4e-4
        (1.0, 200, "kept"),
        (1.25, 30, "kept"),  # 1.25^29 = 646
        (1.25, 40, "exploding"),
        (0.5, 2000, "vanishing"),  # 1e-602: far below what float64 holds
    ],
)
def test_a_linear_network(a: float, length: int, verdict: str) -> None:
    model, task = linear(a, length)
    found = measured(model, task, task.validation().take(slice(4)))
    assert found.lag == task.lag[1] == length - 1
    assert found.log10_ratio_at_lag == pytest.approx((length - 1) * math.log10(a), rel=1e-12)
    assert found.verdict == verdict
    lost = [lag for lag in range(1, length) if lag * math.log10(a) < -6]
    assert found.lost_share == pytest.approx(len(lost) / (length - 1))
    lags = np.array(found.lags)
    assert (lags[0], lags[-1]) == (0, length - 1)
    assert len(lags) == len(set(found.lags)) == min(length, MOST_LAGS)
    mean = np.array(found.states["h"].mean)
    np.testing.assert_allclose(mean - mean[0], lags * math.log10(a), atol=2 * ROUNDED)
    assert found.whole == found.states["h"], "there is no other state"


def test_the_spread_is_that_of_the_sequences() -> None:
    model, task = linear(0.75)
    batch = task.validation().take(slice(41))
    found = measured(model, task, batch)
    # The loss of one sequence is (w·h_T + b - y)²; its gradient at h_T is 2 (w·h_T + b - y) w.
    with torch.no_grad():
        double = model.double()
        given = batch.to(torch.float64)
        errors = (double(given) - given.targets)[0, :, 0].abs().sort().values.numpy()
        factor = 2 * float(double.readout.weight[0].norm())
    for lag in (0, 7, 29):
        for curve, size in (("low", errors[10]), ("high", errors[30]), ("mean", errors.mean())):
            expected = math.log10(factor * size * 0.75**lag)
            assert getattr(found.whole, curve)[lag] == pytest.approx(expected, abs=ROUNDED)


def test_the_whole_state_of_an_lstm() -> None:
    model, task = made(task__length=12, model__hidden=5, seed=3)
    batch = task.validation().take(slice(6))
    found = measured(model, task, batch)
    model = model.double()
    layer = model.layer
    expected = np.zeros(12)
    for i in range(6):
        one = batch.take(slice(i, i + 1)).to(torch.float64)
        h, c = one.inputs.new_zeros(1, 5), one.inputs.new_zeros(1, 5)
        steps = []
        for x in one.inputs:
            a = {k: getattr(layer, f"W_{k}") @ x[0] + getattr(layer, f"b_{k}") for k in "ifgo"}
            a = {k: v + h @ getattr(layer, f"U_{k}").T for k, v in a.items()}
            c = torch.sigmoid(a["f"]) * c + torch.sigmoid(a["i"]) * torch.tanh(a["g"])
            c.retain_grad()
            h = torch.sigmoid(a["o"]) * torch.tanh(c)
            h.retain_grad()
            steps.append((h, c))
        task.loss(model.readout(h)[None], one.targets).backward()
        norms = [float(torch.cat([s.grad for s in step]).norm()) for step in reversed(steps)]
        expected += np.array(norms) / 6
    np.testing.assert_allclose(found.whole.mean, np.log10(expected), atol=ROUNDED)
    assert set(found.states) == {"h", "c"}
    assert found.log10_ratio_at_lag == pytest.approx(math.log10(expected[11] / expected[0]))


def test_a_lag_counts_the_sequences_that_are_as_long() -> None:
    model, task = made(task__name="temporal-order", task__length=20, model__cell="elman", seed=1)
    batch = task.validation().take(slice(40))
    assert batch.ends is not None
    found = measured(model, task, batch)
    longest = int(batch.ends.max())
    rows = torch.nonzero(batch.ends == longest).flatten()
    alone = measured(model, task, batch.take(rows))
    assert len(rows) < len(batch)
    for curve in ("mean", "low", "high"):
        assert getattr(found.whole, curve)[-1] == getattr(alone.whole, curve)[-1]
    assert None not in found.whole.low


def test_a_gradient_of_zero() -> None:
    model, task = linear(0.5, length=5)
    torch.nn.init.zeros_(model.layer.U)
    batch = task.validation().take(slice(4))
    found = measured(model, task, batch)
    assert found.whole.mean[1:] == [None] * 4
    assert (found.log10_ratio_at_lag, found.verdict, found.lost_share) == (None, "vanishing", 1.0)
    assert found.summary() == {"verdict": -1.0, "lost_share": 1.0}
    torch.nn.init.zeros_(model.readout.weight)
    found = measured(model, task, batch)
    assert (found.log10_ratio_at_lag, found.verdict, found.lost_share) == (None, None, None)
    assert found.summary() == {}


def test_what_is_not_finite_is_none() -> None:
    model, task = linear(0.5)
    torch.nn.init.constant_(model.readout.weight, math.nan)
    assert state_gradients(model, task, task.validation().take(slice(3))) is None
