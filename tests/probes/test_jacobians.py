"""Singular values of Jacobians against loops of their own and cases that are known without them."""

import math
from collections.abc import Mapping
from functools import partial

import mpmath
import pytest
import torch
from cases import each
from networks_by_hand import SHAPES, TASK, by_hand, drawn, made, map_of, of_shape
from torch import Tensor
from torch.autograd.functional import jacobian

from study.cells import CELLS
from study.networks.layer import Layer
from study.networks.model import Model
from study.probes.jacobians import (
    Jacobians,
    _followed,
    _singular_values,
    _start,
    jacobians,
)
from study.probes.trajectory import in_order, reading
from study.tasks.base import Batch, Task
from study.trial.config import TrialConfig
from study.trial.construction import build_model


def silence(steps: int, size: int = 2) -> Batch:
    return Batch(torch.zeros(steps, size, 1), torch.zeros(1, size, 1))


def measured(model: Model, batch: Batch, **options: int) -> Jacobians:
    found = jacobians(model, TASK, batch, **options)
    assert found is not None
    return found


def test_a_scaled_turn_over_a_thousand_steps() -> None:
    """U = a Q with Q orthogonal: every singular value of the product over k steps is a^k."""
    turn = torch.linalg.qr(drawn(6, 6)).Q
    found = measured(by_hand("elman", 6, "identity", U=turn / 4), silence(1000))
    assert found.lags == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000]
    assert found.products is not None
    for lag, spectrum in zip(found.lags, found.products, strict=True):
        assert spectrum.mean == pytest.approx([-lag * math.log(4)] * 6, abs=1e-10)  # to e^-1386
        assert spectrum.spread == pytest.approx([0] * 6, abs=1e-12)
        assert spectrum.log_condition == pytest.approx(0, abs=1e-10)
    assert found.summary()["product_log_largest"] == pytest.approx(-math.log(4))


def test_isometry() -> None:
    turn = torch.linalg.qr(drawn(6, 6)).Q
    summary = measured(by_hand("elman", 6, "identity", U=turn), silence(50)).summary()
    assert summary == pytest.approx(dict.fromkeys(summary, 0), abs=1e-12)
    assert {"step_log_condition", "product_log_condition", "product_log_rms"} <= summary.keys()


def test_a_diagonal_keeps_what_is_small() -> None:
    """1, 1/2, … to the 200th: ln σ from 0 to -1,400, and of a block as of the whole."""
    factors = torch.tensor([1, 0.5, 1e-1, 1e-3], dtype=torch.float64)
    found = measured(by_hand("elman", 4, "identity", U=factors.diag()), silence(200))
    expected = (200 * factors.log()).tolist()
    assert found.products is not None
    assert found.products[-1].mean == pytest.approx(expected, abs=1e-9)
    assert found.product_blocks["h"][-1].mean == pytest.approx(expected, abs=1e-9)
    assert found.step is not None
    assert found.step.mean == pytest.approx(factors.log().tolist(), abs=1e-12)


def test_what_is_zero_or_lost_is_none() -> None:
    """U of rank 2, and a third value at 1e-18, below what 1 has room for beside it in a full matrix."""
    u, v = (torch.linalg.qr(drawn(4, 4, seed=k)).Q for k in range(2))
    matrix = (u * torch.tensor([1, 0.5, 1e-18, 0], dtype=torch.float64)) @ v
    found = measured(by_hand("elman", 4, "identity", U=matrix), silence(40))
    for spectrum in [found.step, *found.step_blocks.values(), *(found.products or [])]:
        assert spectrum is not None
        assert [m is None for m in spectrum.mean] == [False, False, True, True]
        assert [s is None for s in spectrum.spread] == [False, False, True, True]
        assert spectrum.log_condition is None
    assert "step_log_condition" not in found.summary()


def test_units_that_are_dead() -> None:
    """ReLU with bias -1 in two units of five: their rows of the Jacobian are zero."""
    bias = torch.tensor([1, 1, 1, -9, -9], dtype=torch.float64)
    found = measured(by_hand("elman", 5, "relu", U=drawn(5, 5) / 9, b=bias), silence(10))
    assert found.products is not None
    assert [m is None for m in found.products[0].mean] == [False] * 3 + [True] * 2


def lstm_step(layer: Layer, x: Tensor, state: Tensor) -> Tensor:
    h, c = state.chunk(2)

    def gate(name: str) -> Tensor:
        w, u, b = (getattr(layer, f"{kind}_{name}") for kind in "WUb")
        return w @ x + u @ h + b

    c = torch.sigmoid(gate("f")) * c + torch.sigmoid(gate("i")) * torch.tanh(gate("g"))
    return torch.cat([torch.sigmoid(gate("o")) * torch.tanh(c), c])


def logarithms(matrix: mpmath.matrix) -> list[float]:
    """Of the singular values."""
    return [float(mpmath.log(value)) for value in mpmath.svd_r(matrix, compute_uv=False)]


def test_lstm_against_autograd_on_a_loop_of_its_own() -> None:
    """autograd's Jacobians of single steps, multiplied in 60 digits: 16 lose the small values."""
    model, task = made(task__length=12, model__hidden=3, seed=3, init__recurrent="orthogonal")
    batch = task.validation().take(slice(2)).to(torch.float64)
    found = jacobians(model, task, batch, times=3)
    assert found is not None
    assert (found.size, found.lags, found.times) == (6, [1, 2, 4, 8, 12], [0, 6, 11])
    layer = model.double().top
    parts = {"": slice(0, 6), "h": slice(0, 3), "c": slice(3, 6)}
    steps: dict[str, list[list[float]]] = {name: [] for name in parts}
    products: dict[tuple[str, int], list[list[float]]] = {}
    with mpmath.workdps(60):
        for b in range(2):
            state, single = torch.zeros(6, dtype=torch.float64), []
            for x in batch.inputs[:, b]:
                step = partial(lstm_step, layer, x)
                single.append(mpmath.matrix(jacobian(step, state).tolist()))
                state = step(state).detach()
            whole = mpmath.eye(6)
            for lag in range(1, 13):
                whole = whole * single[-lag]
                for name, part in parts.items() if lag in found.lags else ():
                    products.setdefault((name, lag), []).append(logarithms(whole[part, part]))
            for name, part in parts.items():
                steps[name] += [logarithms(single[t][part, part]) for t in found.times]
    assert found.products is not None
    assert found.step is not None
    cases = [({"": found.step} | found.step_blocks, steps)]
    for k, lag in enumerate(found.lags):
        blocks = {"": found.products[k]} | {v: s[k] for v, s in found.product_blocks.items()}
        cases.append((blocks, {name: products[name, lag] for name in parts}))
    for spectra, by_name in cases:
        assert spectra.keys() == by_name.keys()
        for name, logs in by_name.items():
            rows = torch.tensor(logs, dtype=torch.float64)
            # Slopes between 1e-4 and 1 are known to 1e-16.
            assert spectra[name].mean == pytest.approx(rows.mean(0).tolist(), abs=1e-9)
            spread = rows.std(0, correction=0).tolist()
            assert spectra[name].spread == pytest.approx(spread, abs=1e-9)


def test_each_sequence_is_followed_from_its_own_end() -> None:
    """h_t = tanh(u h + w x): ∂h_T/∂h_{T-k} is the product of u(1 - h²) over its own last k steps."""
    number = torch.ones(1, 1, dtype=torch.float64)
    model = by_hand("elman", 1, U=0.8 * number, W=number)
    x = drawn(9, 2, 1)
    x[6:, 1] = 0
    ends = torch.tensor([8, 5])
    found = measured(model, Batch(x, torch.zeros(1, 2, 1), ends))
    assert found.lags == [1, 2, 4, 6]  # as many as the shorter one has
    for k, lag in enumerate(found.lags):
        logs = []
        for b in range(2):
            h, slopes = 0.0, []
            for value in x[: int(ends[b]) + 1, b, 0].tolist():
                h = math.tanh(0.8 * h + value)
                slopes.append(math.log(0.8 * (1 - h * h)))
            logs.append(sum(slopes[-lag:]))
        assert found.products is not None
        assert found.products[k].mean == pytest.approx([sum(logs) / 2], abs=1e-12)
        assert found.products[k].spread == pytest.approx([abs(logs[0] - logs[1]) / 2], abs=1e-12)


def test_delayed_values_belong_to_the_state() -> None:
    """h' = U h[t-3]: a step moves two of three values on, and three steps are three times U."""
    matrix = drawn(3, 3)
    sizes = torch.linalg.svdvals(matrix).log().tolist()
    found = measured(by_hand("skip-only-3", 3, "identity", U=matrix), silence(9))
    assert found.size == 9
    assert found.step is not None
    assert found.step.mean == pytest.approx(sorted([*sizes, *[0.0] * 6], reverse=True), abs=1e-12)
    assert found.lags == [1, 2, 4, 8, 9]
    assert found.products is not None
    cubed = torch.linalg.svdvals(torch.linalg.matrix_power(matrix, 3)).log().tolist()
    expected = sorted([value for value in cubed for _ in range(3)], reverse=True)
    assert found.products[-1].mean == pytest.approx(expected, abs=1e-9)
    # h alone comes back after a multiple of three steps only.
    by_lag = dict(zip(found.lags, found.product_blocks["h"], strict=True))
    assert by_lag[8].mean == [None] * 3
    assert by_lag[9].mean == pytest.approx(cubed, abs=1e-9)


def test_a_variable_that_nothing_reads_comes_back_to_nothing() -> None:
    model, task = made(model__cell="lru", model__hidden=4, task__length=12)
    found = jacobians(model, task, task.validation().take(slice(4)))
    assert found is not None
    assert found.step_blocks["y"].mean == [None] * 4
    assert all(spectrum.mean == [None] * 4 for spectrum in found.product_blocks["y"])
    # y reads the other two and no more: 2H of its 3H directions are left.
    assert found.products is not None
    assert [m is None for m in found.products[-1].mean] == [False] * 8 + [True] * 4
    # A pair (re, im) shrinks by r and turns by an angle at every step, so that re comes back as
    # r^k cos(k angle) in k steps.
    layer = model.double().top
    shrink, angle = (-layer.p_nu.exp()).exp(), layer.p_theta.exp()
    for lag, spectrum in zip(found.lags, found.product_blocks["re"], strict=True):
        sizes = (shrink**lag * (lag * angle).cos()).abs().log().sort(descending=True).values
        assert spectrum.mean == pytest.approx(sizes.tolist(), abs=1e-9)


def test_what_cancels_is_none() -> None:
    """J = [[a, b], [-a²/b, -a]] has J² = 0: what float64 makes of it, 1e-17, is rounding."""
    for a, b in ((0.3, 0.7), (0.37, 0.71), (0.41, 0.13), (0.9, 1.7)):
        equations = f"h' = {a}*h + {b}*v\nv' = -{a * a / b}*h - {a}*v"
        found = measured(by_hand(map_of(equations, "h v"), 1), silence(2))
        assert found.lags == [1, 2]
        assert found.products is not None
        assert found.product_blocks["h"][0].mean == pytest.approx([math.log(a)])
        assert found.product_blocks["h"][1].mean == [None]
        assert found.products[1].mean == [None, None]


@pytest.mark.parametrize(("seed", "lag"), [(2, 4), (2, 8), (3, 8)])
def test_a_block_that_has_lost_dimensions_is_not_said_to_have_them(seed: int, lag: int) -> None:
    """Against the same steps multiplied with 400 digits: a block is cut out of the whole product, and of
    rows that are nearly dependent no more is left than rounding."""
    settings = {"model.cell": "nas", "model.hidden": 8, "task.length": 40, "seed": seed}
    config = TrialConfig.from_flat({"task.name": "adding", **settings})
    some = in_order(config.task.validation().take(slice(4)))
    read = reading(build_model(config), config.task, some)
    back = read.trajectory().at(read.lengths - 1 - torch.arange(lag)[:, None])
    with torch.no_grad():
        product = _start(back, "h")
        whole = [mpmath.eye(16) for _ in range(4)]
        for step in back.steps():
            product = _followed(product, step)
            blocks = step.linearization.blocks()
            rows = [
                torch.cat([blocks[new, old] for old in ("h", "c")], dim=2) for new in ("h", "c")
            ]
            matrices = torch.cat(rows, dim=1)
            with mpmath.workdps(400):
                pairs = zip(whole, matrices, strict=True)
                whole = [before * mpmath.matrix(m.tolist()) for before, m in pairs]
        logs, resolved = _singular_values(product, back, "h")
    lost = 0
    for found, known, matrix in zip(logs, resolved, whole, strict=True):
        with mpmath.workdps(400):
            values = mpmath.svd_r(matrix[:8, :8], compute_uv=False)
            exact = [float(mpmath.log(v)) if v > 0 else -math.inf for v in values]
        gone = sum(value < -700 for value in exact)
        lost += gone
        assert int(known.sum()) >= 8 - gone - 1
        for value, is_known, truth in zip(found, known, exact, strict=True):
            if is_known:
                assert float(value) == pytest.approx(truth, abs=0.01)
    assert lost


def test_the_index_of_the_step_is_no_state_that_anything_acts_on() -> None:
    found = measured(by_hand(map_of("h' = 0.5*h + t"), 2), silence(4))
    assert found.size == 2
    assert found.products is not None
    assert found.products[-1].mean == pytest.approx([-4 * math.log(2)] * 2)


def test_a_large_state_is_followed_in_its_blocks_alone() -> None:
    found = measured(by_hand("skip-only-3", 3, "identity", U=drawn(3, 3)), silence(6), largest=8)
    assert (found.step, found.products) == (None, None)
    assert found.step_blocks["h"].mean == [None] * 3
    assert found.summary() == {}
    assert Jacobians.from_dict(found.as_dict()) == found


def test_neither_the_order_of_sequences_nor_the_engine_matters() -> None:
    model, task = made(model__cell="gru", task__length=15, model__hidden=5)
    batch = task.validation().take(slice(12))
    found = jacobians(model, task, batch)
    turned = jacobians(model, task, batch.take(torch.arange(12).flip(0)))
    assert found == turned
    native, _ = made(model__cell="gru", task__length=15, model__hidden=5, train__engine="auto")
    other = jacobians(native, task, batch)
    assert found is not None
    assert other is not None
    assert other.summary() == pytest.approx(found.summary(), rel=1e-9)


def test_where_one_step_is_read_it_is_followed_through_what_is_written() -> None:
    """h_0 = tanh(W x + b) of the encoder, then the decoder's loop over the right symbols."""
    model, task = made(task__name="digit-drawing", model__cell="elman", model__hidden=3)
    batch = task.validation().take(slice(2))
    found = jacobians(model, task, batch)
    assert found is not None
    assert jacobians(model, task, batch.take(torch.tensor([1, 0]))) == found
    encoder, decoder = model.double().path
    products: list[Tensor] = []
    x, symbols = batch.inputs[0].double(), batch.targets
    with torch.no_grad():
        for b in range(2):
            h = torch.tanh(encoder.W @ x[b] + encoder.b)
            product = torch.eye(3, dtype=torch.float64)
            for t in range(found.lags[-1]):
                told = torch.zeros(task.output_size, dtype=torch.float64)
                if t:
                    told[symbols[t - 1, b]] = 1
                h = torch.tanh(decoder.U @ h + decoder.W @ told + decoder.b)
                product = (1 - h * h)[:, None] * decoder.U @ product
            products.append(product)
    # The drawings are as long; sixteen digits hold the largest value of the whole.
    assert found.products is not None
    largest = [float(torch.linalg.matrix_norm(p, 2).log()) for p in products]
    assert found.products[-1].mean[0] == pytest.approx(sum(largest) / 2, abs=1e-9)


def test_the_same_sequences_are_taken_where_all_read_the_same() -> None:
    model, task = made(task__name="digit-drawing", model__cell="elman", model__hidden=3)
    batch = task.validation().take(slice(60))
    batch = batch.take(batch.inputs[0, :, 3] == 1)
    assert len(batch) > 3
    turned = batch.take(torch.arange(len(batch)).flip(0))
    assert jacobians(model, task, batch, sequences=2) == jacobians(model, task, turned, sequences=2)


def test_no_number_is_none() -> None:
    model = by_hand("elman", 2, U=torch.full((2, 2), math.nan, dtype=torch.float64))
    assert jacobians(model, TASK, silence(4)) is None


def test_what_explodes_beyond_a_sequence_s_end_is_not_asked() -> None:
    one = torch.ones(1, 1, dtype=torch.float64)
    model = by_hand("elman", 1, "identity", U=9 * one, W=one)
    inputs = torch.ones(400, 2, 1)
    targets = torch.zeros(1, 2, 1)
    found = measured(model, Batch(inputs, targets, torch.tensor([8, 3])))
    assert found.step_blocks["h"].mean == pytest.approx([math.log(9)])
    assert jacobians(model, TASK, Batch(inputs, targets)) is None


def check(model: Model, task: Task, batch: Batch) -> Jacobians:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = jacobians(model, task, batch, times=2)
    assert found is not None
    after: Mapping[str, Tensor] = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert Jacobians.from_dict(found.as_dict()) == found
    assert all(math.isfinite(value) for value in found.summary().values())
    assert "product_log_largest" in found.summary()
    assert all(len(s.mean) == len(s.spread) == found.size for s in found.products or [])
    return found


@each("name", list(CELLS))
def test_every_cell_is_measured(name: str) -> None:
    model, task = made(model__cell=name, model__hidden=8, task__length=6)
    found = check(model, task, task.validation().take(slice(2)))
    assert set(found.step_blocks) == set(found.product_blocks) == set(CELLS[name].variables)


@each("shape", list(SHAPES))
def test_networks_of_every_shape(shape: str) -> None:
    model, task = of_shape(shape)
    check(model, task, task.validation().take(slice(2)))
