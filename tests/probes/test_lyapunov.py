"""Lyapunov exponents against closed forms, published maps and the mean field of random networks."""

import math

import numpy as np
import pytest
import torch
from cases import each
from networks_by_hand import SHAPES, TASK, by_hand, drawn, made, map_of, of_shape
from torch import Generator, Tensor

from study.cells import CELLS
from study.networks.model import Model
from study.probes.lyapunov import Lyapunov, lyapunov
from study.tasks.base import Batch, Task


def pushed(steps: int, size: int, by: float = 0.05) -> Batch:
    """Zeros but for the first step, which sets each sequence out from elsewhere."""
    inputs = torch.zeros(steps, size, 1, dtype=torch.float64)
    inputs[0, :, 0] = by * torch.linspace(0.2, 1, size, dtype=torch.float64)
    return Batch(inputs, torch.zeros(1, size, 1))


ONE = torch.ones(1, 1, dtype=torch.float64)


def measured(model: Model, batch: Batch, **options: int) -> Lyapunov:
    found = lyapunov(model, TASK, batch, **options)
    assert found is not None
    return found


@pytest.mark.parametrize("rotating", [False, True])
def test_a_linear_map_has_the_logarithms_of_its_eigenvalues(rotating: bool) -> None:
    """Not normal: its singular values are others. Complex pairs share one exponent."""
    matrix = drawn(5, 5) if rotating else torch.tensor([1.05, 0.9, 0.5, -0.2, 1e-3]).diag().double()
    matrix = matrix + drawn(5, 5, seed=1).triu(1) * (not rotating)
    found = measured(
        by_hand("elman", 5, "identity", U=matrix), pushed(5, 2), steps=600, transient=100
    )
    expected = sorted(torch.linalg.eigvals(matrix).abs().log().tolist(), reverse=True)
    assert found.size == 5
    # What the start of Q still adds is bounded, and divided by 600 steps.
    assert found.exponents == pytest.approx(expected, abs=0.01)
    assert math.fsum(found.exponents) == pytest.approx(float(matrix.det().abs().log()), abs=1e-12)


def test_leading_exponents_of_units_on_their_own_whatever_their_order() -> None:
    factors = torch.tensor([0.1, 0.95, 0.3, 0.9, 0.2, 0.6], dtype=torch.float64)
    model = by_hand("elman", 6, "identity", U=factors.diag())
    found = measured(model, pushed(5, 2), exponents=3, steps=400, transient=400)
    assert found.exponents == pytest.approx([math.log(a) for a in (0.95, 0.9, 0.6)], abs=1e-3)
    assert not found.is_whole
    assert "sum" not in found.summary()


def test_henon() -> None:
    """a = 1.4, b = .3: λ_1 = .4192 (Sprott, 2003, Chaos and time-series analysis), λ_1 + λ_2 = ln b.

    Its dimension by Kaplan & Yorke is 1.258.
    """
    cell = map_of("h' = 1 - 1.4*h*h + v + W x\nv' = 0.3*h", "h v")
    found = measured(
        by_hand(cell, 1, W=ONE), pushed(1500, 16), streams=16, steps=1400, transient=100
    )
    largest, second = found.exponents
    assert largest is not None
    assert second is not None
    assert largest + second == pytest.approx(math.log(0.3), abs=1e-12)
    error = found.standard_errors[0]
    assert error is not None
    assert 1e-4 < error < 4e-3
    assert largest == pytest.approx(0.4192, abs=4 * error)
    assert found.dimension == pytest.approx(1.258, abs=0.01)
    assert found.summary()["positive"] == 1
    assert found.summary()["sum"] == pytest.approx(math.log(0.3))


def test_logistic_map_at_four() -> None:
    """λ = ln 2, exactly (Ulam & von Neumann, 1947, by the map's conjugacy to the tent)."""
    model = by_hand(map_of("h' = 4*h*(1 - h) + W x"), 1, W=ONE)
    found = measured(model, pushed(1000, 16, by=0.3), streams=16, steps=900, transient=100)
    assert found.exponents == pytest.approx([math.log(2)], abs=0.01)
    assert found.dimension == 1
    assert found.size == 1


def random_network(gain: float, hidden: int, seed: int) -> tuple[Model, Tensor]:
    """h' = tanh(g J h), J_ij from N(0, 1/H)."""
    weights = gain * drawn(hidden, hidden, seed=seed) / math.sqrt(hidden)
    start = torch.linspace(-20, 20, hidden, dtype=torch.float64)[:, None]
    return by_hand("elman", hidden, U=weights, W=start), weights


def test_a_random_network_in_the_ordered_phase() -> None:
    """g < 1: it comes to rest at zero, where J is gJ, of spectral radius g as H grows (Sompolinsky,
    Crisanti & Sommers, 1988)."""
    model, weights = random_network(0.5, 200, seed=3)
    found = measured(model, pushed(500, 2), exponents=4, steps=300, transient=200)
    radius = float(torch.linalg.eigvals(weights).abs().max())
    assert found.exponents[0] == pytest.approx(math.log(radius), abs=0.01)
    assert found.exponents[0] == pytest.approx(math.log(0.5), abs=0.1)  # 1/√H = .07


def test_a_random_network_in_the_chaotic_phase() -> None:
    """g > 1, in the mean field of discrete time (Molgedey, Schuchhardt & Schuster, 1992; Engelken,
    Wolf & Abbott, 2023): gJh is Gaussian with the variance g²q, q = <tanh²>, so that λ_1 is
    ½ ln(g² <φ'²>), and the mean of all exponents is <ln φ'> + ln g - ½."""
    gain, hidden = 3.0, 100
    z, weight = np.polynomial.hermite_e.hermegauss(101)
    weight = weight / weight.sum()
    q = 1.0
    for _ in range(200):
        q = float(weight @ np.tanh(gain * math.sqrt(q) * z) ** 2)
    slopes = 1 / np.cosh(gain * math.sqrt(q) * z) ** 2
    largest = 0.5 * math.log(gain**2 * float(weight @ slopes**2))
    mean = float(weight @ np.log(slopes)) + math.log(gain) - 0.5
    found = [
        measured(
            random_network(gain, hidden, seed)[0],
            pushed(600, 2),
            exponents=hidden,
            streams=2,
            steps=250,
            transient=50,
        )
        for seed in range(2)
    ]
    assert all(one.is_whole for one in found)
    # Of 12 networks of 100 units λ_1 was .031 below the mean field, standard deviation .009, of 200
    # units .016; the mean of all was .03 below, standard deviation .06.
    assert np.mean([one.exponents[0] for one in found]) == pytest.approx(largest, abs=0.06)
    assert np.mean([np.mean(one.exponents) for one in found]) == pytest.approx(mean, abs=0.15)
    assert all(5 < one.summary()["positive"] < 30 for one in found)


def test_the_sum_is_the_logarithm_of_the_determinant() -> None:
    """Of a tanh network ln|det J_t| is ln|det U| + Σ ln(1 - h_t²), on inputs that are read."""
    weights, hidden = drawn(6, 6, seed=4) / 2, 6
    model = by_hand("elman", hidden, U=weights, W=drawn(6, 1, seed=5))
    inputs = drawn(40, 1, 1, seed=6)
    found = measured(model, Batch(inputs, torch.zeros(1, 1, 1)), streams=1, steps=70, transient=10)
    h, logs = torch.zeros(hidden, dtype=torch.float64), []
    w = model.top.W.detach()
    for t in range(80):
        h = torch.tanh(weights @ h + w @ inputs[t % 40, 0])
        logs.append(float((1 - h * h).log().sum()))
    expected = float(weights.det().abs().log()) + math.fsum(logs[10:]) / 70
    assert math.fsum(found.exponents) == pytest.approx(expected, abs=1e-12)
    assert found.summary()["sum"] == pytest.approx(expected, abs=1e-12)


def test_a_stream_is_every_sequence_as_long_as_it_is() -> None:
    """h' = (W x) h: the exponent is the mean of ln|x| over what was read; a zero beyond a sequence's
    end would make it -∞."""
    model = by_hand(map_of("h' = (W x)*h"), 1, W=ONE)
    ends = torch.tensor([5, 2, 7])
    inputs = drawn(8, 3, 1).exp()
    beyond = torch.arange(8)[:, None] > ends
    inputs[beyond] = 0
    batch = Batch(inputs, torch.zeros(1, 3, 1), ends)
    found = measured(model, batch, streams=3, steps=6 + 3 + 8, transient=0)
    expected = float(inputs[~beyond].log().mean())
    assert found.exponents == pytest.approx([expected], abs=1e-12)
    assert found.standard_errors == pytest.approx([0], abs=1e-12)  # each stream has read all
    twice = measured(model, batch, streams=1, steps=2 * 17, transient=17)
    assert twice.exponents == pytest.approx([expected], abs=1e-12)


def test_delayed_values_take_part() -> None:
    """h' = a h[t-3]: three values a unit, each with a third of ln a."""
    model = by_hand("skip-only-3", 2, "identity", U=torch.eye(2, dtype=torch.float64) / 2)
    found = measured(model, pushed(5, 2), steps=300, transient=30)
    assert found.size == 6
    assert found.exponents == pytest.approx([-math.log(2) / 3] * 6, abs=0.01)


def test_directions_that_are_lost_are_none() -> None:
    matrix = torch.tensor([0.9, 0.5, 0, 0], dtype=torch.float64).diag()
    turn = torch.linalg.qr(drawn(4, 4)).Q
    found = measured(
        by_hand("elman", 4, "identity", U=turn @ matrix @ turn.T), pushed(5, 2), steps=200
    )
    assert found.exponents[:2] == pytest.approx([math.log(0.9), math.log(0.5)], abs=0.01)
    assert found.exponents[2:] == [None, None]
    assert found.standard_errors[2:] == [None, None]
    assert found.running[3] == [None] * len(found.running_steps)
    assert Lyapunov.from_dict(found.as_dict()) == found
    assert found.dimension == 0


def test_convergence_is_shown() -> None:
    cell = map_of("h' = 4*h*(1 - h) + W x")
    found = measured(
        by_hand(cell, 1, W=ONE), pushed(900, 8, by=0.3), streams=8, steps=800, transient=50
    )
    assert found.running_steps[-1] == 800
    assert len(found.running_steps) == 20
    assert found.running[0][-1] == pytest.approx(found.exponents[0], abs=1e-12)
    early, late = (
        np.abs(np.array(part) - math.log(2)).max()
        for part in (found.running[0][:3], found.running[0][-3:])
    )
    assert late < early
    alone = measured(
        by_hand(cell, 1, W=ONE), pushed(900, 1, by=0.3), streams=1, steps=800, transient=50
    )
    assert alone.standard_errors[0] is not None
    assert 0 < alone.standard_errors[0] < 0.1
    assert alone.exponents == pytest.approx([math.log(2)], abs=4 * alone.standard_errors[0])


@pytest.mark.parametrize(
    ("exponents", "size", "dimension"),
    [
        ([0.5, -1.0], 2, 1.5),
        ([0.3, 0.1, -0.2, -0.9], 4, 3 + 0.2 / 0.9),
        ([-0.1, -0.2], 9, 0.0),
        ([0.3, 0.1], 2, 2.0),
        ([0.3, 0.1], 9, None),
        ([0.3, None], 2, None),
        ([0.0, -1.0], 2, 1.0),
    ],
)
def test_dimension(exponents: list[float | None], size: int, dimension: float | None) -> None:
    found = Lyapunov(exponents, [0.0] * len(exponents), [], [], size, 1, 1, 0)
    assert found.dimension == (None if dimension is None else pytest.approx(dimension))


def test_positive_is_what_is_so_beyond_two_errors() -> None:
    found = Lyapunov([0.5, 0.1, 0.01, -0.1], [0.01, 0.01, 0.02, None], [], [], 9, 1, 1, 0)
    assert found.summary() == {"largest": 0.5, "largest_error": 0.01, "positive": 2}


def test_the_index_of_the_step_has_no_exponent() -> None:
    found = measured(by_hand(map_of("h' = 0.5*h + t"), 2), pushed(4, 2), steps=50)
    assert found.exponents == pytest.approx([-math.log(2)] * 2)


def test_draws_the_order_of_sequences_and_the_engine_make_no_difference() -> None:
    model, task = made(model__cell="gru", task__length=15, model__hidden=5)
    batch = task.validation().take(slice(12))
    found = lyapunov(model, task, batch, steps=300)
    assert found is not None
    assert lyapunov(model, task, batch.take(torch.arange(12).flip(0)), steps=300) == found
    other = lyapunov(model, task, batch, steps=300, generator=Generator().manual_seed(9))
    assert other is not None
    # Each Q_0 leads to the same directions; they are no longer the same by chance.
    assert other.exponents != found.exponents
    assert other.exponents == pytest.approx(found.exponents, abs=0.01)
    native, _ = made(model__cell="gru", task__length=15, model__hidden=5, train__engine="auto")
    compiled = lyapunov(native, task, batch, steps=300)
    assert compiled is not None
    assert compiled.exponents == pytest.approx(found.exponents, abs=1e-9)


def test_no_number_is_none() -> None:
    model = by_hand("elman", 2, U=torch.full((2, 2), math.nan, dtype=torch.float64))
    assert lyapunov(model, TASK, pushed(4, 2)) is None
    growing = by_hand("elman", 1, "identity", U=10 * ONE, W=ONE)
    assert lyapunov(growing, TASK, pushed(4, 2)) is None


def check(model: Model, task: Task, batch: Batch) -> Lyapunov:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = lyapunov(model, task, batch, exponents=4, steps=24, streams=2)
    assert found is not None
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert Lyapunov.from_dict(found.as_dict()) == found
    assert all(math.isfinite(value) for value in found.summary().values())
    assert found.exponents[0] is not None
    assert (found.transient, found.running_steps[-1]) == (6, 24)
    assert len(found.exponents) == len(found.running) == 4
    return found


@each("name", list(CELLS))
def test_every_cell_is_measured(name: str) -> None:
    model, task = made(model__cell=name, model__hidden=8, task__length=6)
    check(model, task, task.validation().take(slice(2)))


@each("shape", list(SHAPES))
def test_networks_of_every_shape(shape: str) -> None:
    model, task = of_shape(shape)
    check(model, task, task.validation().take(slice(2)))
