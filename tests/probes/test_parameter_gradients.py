"""Gradients of the weights, their noise and the terms of each lag, against autograd and known answers."""

import json
import math
from copy import deepcopy

import numpy as np
import pytest
import torch
from cases import each
from probed import by_hand, made, of_shape, read
from torch import Tensor
from unrolled import Unrolled, flat

from study.networks.encoder_decoder import EncoderDecoder
from study.networks.model import Model
from study.networks.predictor import Predictor
from study.networks.recurrent import layers_of
from study.probes.lag_terms import LagTerms, lag_terms
from study.probes.parameter_gradients import ParameterGradients, parameter_gradients, within_half
from study.probes.sampled_gradients import Sample, parts
from study.tasks.base import NO_TARGET, Batch, Task
from study.tasks.generating import GeneratingTask


def measured(model: Model, task: Task, batch: Batch, seed: int = 0) -> ParameterGradients:
    found = parameter_gradients(model, task, batch, torch.Generator().manual_seed(seed))
    assert found is not None
    return found


def in_double(model: Model, batch: Batch) -> tuple[Model, Batch]:
    return deepcopy(model).double(), batch.to(torch.float64)


# --- the terms of each lag -----------------------------------------------------------------------


def check(found: LagTerms, expected: Tensor, whole: Tensor) -> None:
    """``expected`` (L,n) written out, ``whole`` (n,) of one backward pass through everything."""
    torch.testing.assert_close(expected.sum(dim=0), whole, rtol=1e-8, atol=1e-12)
    norms = expected.norm(dim=1)
    # Squares of terms: the smallest ones are rounded against 1e-162, none is that small.
    torch.testing.assert_close(found.norms, norms, rtol=1e-8, atol=1e-14)
    torch.testing.assert_close(found.norm_shares, norms / norms.sum(), rtol=1e-8, atol=1e-14)
    signed = expected @ whole / whole.square().sum()
    torch.testing.assert_close(found.signed_shares, signed, rtol=1e-7, atol=1e-12)
    assert float(signed.sum()) == pytest.approx(1, rel=1e-9)


def by_lag(terms: list[Tensor], lags: int) -> Tensor:
    """(L,n) from each sequence's (T,n), its last step last."""
    total = torch.zeros(lags, terms[0].shape[1], dtype=torch.float64)
    for one in terms:
        total[: len(one)] += one.flip(0)
    return total


CELLS: dict[str, dict[str, object]] = {
    "lstm": {},
    "gru": {"model__cell": "gru", "model__phi": "softsign"},
    "relu": {"model__cell": "elman", "model__phi": "relu"},
    "delays": {"model__cell": "skip-2"},
    "clockwork": {"model__cell": "clockwork"},
    "a trained orthogonal matrix": {"model__cell": "orthogonal-rnn"},
    "an antisymmetric matrix": {"model__cell": "antisymmetric"},
    "two layers": {"model__layers": 2},
    "unequal ends": {"task__name": "temporal-order", "task__length": 20, "model__cell": "gru"},
    "every step": {"task__name": "variable-copy", "task__length": 4},
}


@each("name", list(CELLS))
def test_the_terms_of_a_layer_are_those_of_its_copies(name: str) -> None:
    model, task = made(
        **{"task__name": "adding", "task__length": 9, "model__hidden": 4, "seed": 2} | CELLS[name]
    )
    assert isinstance(model, Predictor)
    model, batch = in_double(model, task.validation().take(slice(5)))
    layer, below = model.path[0], layers_of(model.layer)[:-1]
    with torch.no_grad():
        for parameter in layer.parameters():  # away from where an orthogonal matrix starts
            parameter.add_(0.2 * torch.sin(torch.arange(parameter.numel()).view(parameter.shape)))
    terms, whole = [], torch.zeros(())
    for b in range(5):
        one = batch.take(slice(b, b + 1))
        steps = len(one.inputs) if one.ends is None else int(one.ends) + 1
        seen = one.inputs[:steps]
        asked = one.targets[steps - 1 : steps] if task.reads == "every" else one.targets
        for other in below:
            seen = other(seen)[0].detach()
        unrolled = Unrolled(layer, seen)
        task.loss(model.readout(unrolled.output)[None], asked).backward()
        terms.append(unrolled.terms())
        model.zero_grad()
        outputs, _ = layer(seen)
        task.loss(model.readout(outputs[-1:]), asked).backward()
        whole = whole + flat(layer)
    model.zero_grad()
    found = lag_terms(model, task, batch)
    check(found, by_lag(terms, max(map(len, terms))), whole)


def test_the_terms_of_a_layer_beside_one_that_reads_backward() -> None:
    model, task = made(
        task__name="temporal-order", task__length=20, model__hidden=3, model__bidirectional=True
    )
    assert isinstance(model, Predictor)
    model, batch = in_double(model, task.validation().take(slice(4)))
    assert batch.ends is not None
    assert len(set(batch.ends.tolist())) > 1
    forward, backward = model.layers
    terms, whole = [], torch.zeros(())
    for b in range(4):
        one = batch.take(slice(b, b + 1))
        seen = one.inputs[: int(batch.ends[b]) + 1]
        other = backward(seen.flip(0))[0][-1].detach()

        def loss(h: Tensor, other: Tensor = other, one: Batch = one) -> Tensor:
            return task.loss(model.readout(torch.cat([h, other], dim=1))[None], one.targets)

        unrolled = Unrolled(forward, seen)
        loss(unrolled.output).backward()
        terms.append(unrolled.terms())
        model.zero_grad()
        loss(forward(seen)[0][-1]).backward()
        whole = whole + flat(forward)
    model.zero_grad()
    check(lag_terms(model, task, batch), by_lag(terms, max(map(len, terms))), whole)


def test_the_terms_of_a_network_that_writes() -> None:
    model, task = made(task__name="transduction", task__length=4, model__hidden=3)
    assert isinstance(model, EncoderDecoder)
    assert isinstance(task, GeneratingTask)
    model, batch = in_double(model, task.validation().take(slice(5)))
    encoder, decoder = model.path
    columns = len(flat(encoder)), len(flat(decoder))
    terms, wholes = [], []
    for b in range(5):
        one = batch.take(slice(b, b + 1))
        symbols = one.targets[:, 0]
        last = int(((symbols != NO_TARGET) & (symbols != task.end)).nonzero().max())
        told = torch.zeros(last + 1, 1, model.readout.out_features, dtype=torch.float64)
        for t in range(last):
            told[t + 1, 0, symbols[t]] = 1
        read_steps = len(one.inputs) if one.ends is None else int(one.ends) + 1
        reading = Unrolled(encoder, one.inputs[:read_steps])
        writing = Unrolled(decoder, told, reading.last)
        task.loss(model.readout(writing.output)[None], one.targets[last : last + 1]).backward()
        first = torch.nn.functional.pad(reading.terms(), (0, columns[1]))
        second = torch.nn.functional.pad(writing.terms(), (columns[0], 0))
        terms.append(torch.cat([first, second]))

        model.zero_grad()
        predictions = model(one)[last : last + 1]
        task.loss(predictions, one.targets[last : last + 1]).backward()
        wholes.append(torch.cat([flat(encoder), flat(decoder)]))
    model.zero_grad()
    found = lag_terms(model, task, batch)
    check(found, by_lag(terms, max(map(len, terms))), torch.stack(wholes).sum(dim=0))


@each("name", ["soft attention", "hard attention", "one step read", "embedding and deep"])
def test_the_signed_shares_sum_to_one(name: str) -> None:
    model, task, batch = of_shape(name)
    terms = lag_terms(*in_double(model, batch)[:1], task, batch.to(torch.float64))
    assert terms.signed_shares is not None
    assert float(terms.signed_shares.sum()) == pytest.approx(1, rel=1e-9)


A, W = 0.8, 0.7


def scalar(steps: int = 6) -> tuple[Model, Batch, list[float], list[float]]:
    """h_t = A h_{t-1} + W x_t, one sequence, L = (h_T - 2)²: with x and h_0 … h_T."""
    model = by_hand("elman", 1, 1, "identity", U=A, W=W)
    with torch.no_grad():
        model.readout.weight.fill_(1)
        model.readout.bias.zero_()
    x = [math.cos(1.7 * t) for t in range(steps)]
    h = [0.0]
    for value in x:
        h.append(A * h[-1] + W * value)
    inputs = torch.tensor(x, dtype=torch.float64)[:, None, None]
    return model, Batch(inputs, torch.full((1, 1, 1), 2.0)), x, h


def test_a_linear_unit_by_its_formula() -> None:
    _, task = made(task__name="adding", task__length=6)  # whose loss is the squared error
    model, batch, x, h = scalar()
    found = measured(model, task, batch)
    outer = 2 * (h[-1] - 2)
    # At lag k: ∂L/∂h_{T-k} = outer·A^k, and h_{T-k} = A·h_{T-k-1} + W·x_{T-k} + b.
    terms = np.array([[outer * A**k * v for v in (h[5 - k], x[5 - k], 1)] for k in range(6)])
    norms = np.linalg.norm(terms, axis=1)
    whole = terms.sum(axis=0)
    assert found.lags == list(range(6))
    np.testing.assert_allclose(found.norm_shares, norms / norms.sum(), rtol=1e-3)
    np.testing.assert_allclose(found.signed_shares, terms @ whole / (whole @ whole), rtol=1e-3)
    assert found.norms["layer.U"] == pytest.approx(abs(whole[0]))
    assert found.norms["layer.W"] == pytest.approx(abs(whole[1]))
    assert found.norms["layer.b"] == pytest.approx(abs(whole[2]))
    assert found.task_lag == task.lag[0] == 3
    assert found.share_from_task_lag == pytest.approx(norms[3:].sum() / norms.sum())
    signed = (terms @ whole)[3:].sum() / (whole @ whole)
    assert found.signed_share_from_task_lag == pytest.approx(signed)
    shares = np.cumsum(norms / norms.sum())
    assert found.half_lag == int(np.argmax(shares >= 0.5))


def test_the_lag_within_which_half_lies() -> None:
    assert within_half(torch.tensor([1.0])) == 0
    assert within_half(torch.tensor([0.5, 0.5])) == 0
    assert within_half(torch.tensor([0.4, 0.2, 0.4])) == 1
    assert within_half(torch.tensor([0.0, 0.0, 0.0, 1.0])) == 3


def test_at_most_64_lags_are_kept() -> None:
    model, task = made(task__name="adding", task__length=150, model__hidden=3)
    found = measured(model, task, task.validation().take(slice(4)))
    assert len(found.lags) == 64
    assert (found.lags[0], found.lags[-1]) == (0, 149)
    assert found.norm_shares is not None
    assert len(found.norm_shares) == 64


# --- norms and noise -----------------------------------------------------------------------------


def each_sequence(model: Model, task: Task, batch: Batch) -> np.ndarray:
    """(B,n) of every trained parameter."""
    model, batch = in_double(model, batch)
    rows = []
    for b in range(len(batch)):
        model.zero_grad()
        one = batch.take(slice(b, b + 1))
        task.loss(model(one), one.targets).backward()
        rows.append(torch.cat([p.grad.flatten() for p in model.parameters()]).numpy())
    return np.array(rows)


def test_the_noise_of_eight_sequences_is_their_variance() -> None:
    model, task = made(task__name="adding", task__length=7, model__hidden=4)
    batch = task.validation().take(slice(8))
    found = measured(model, task, batch)
    rows = each_sequence(model, task, batch)
    trace = rows.var(axis=0, ddof=1).sum()
    squared = (rows.mean(axis=0) ** 2).sum() - trace / 8
    assert found.sequences == 8
    assert found.trace == pytest.approx(trace, rel=1e-9)
    assert found.squared_norm == pytest.approx(squared, rel=1e-9)
    assert found.noise_scale == pytest.approx(trace / squared, rel=1e-9)
    assert found.norm == pytest.approx(np.linalg.norm(rows.mean(axis=0)), rel=1e-9)


def test_of_more_sequences_it_is_what_mccandlish_et_al_estimate() -> None:
    model, task = made(task__name="adding", task__length=7, model__hidden=4)
    batch = task.validation().take(slice(18))
    found = measured(model, task, batch, seed=5)
    some = parts(batch.to(torch.float64), 8, torch.Generator().manual_seed(5))
    assert [len(part) for part in some] == [2] * 8
    small = np.array([each_sequence(model, task, part).mean(axis=0) for part in some])
    big = small.mean(axis=0)
    of_small, of_big = (small**2).sum(axis=1).mean(), (big**2).sum()
    # Their equations A.2 and A.3, with B_small = 2 and B_big = 16.
    squared = (16 * of_big - 2 * of_small) / (16 - 2)
    trace = (of_small - of_big) / (1 / 2 - 1 / 16)
    assert found.sequences == 16
    assert found.squared_norm == pytest.approx(squared, rel=1e-9)
    assert found.trace == pytest.approx(trace, rel=1e-9)
    assert found.noise_scale == pytest.approx(trace / squared, rel=1e-9)


def test_parts_are_drawn_and_share_nothing() -> None:
    inputs = torch.arange(11.0)[None, :, None]
    batch = read(inputs)

    def rows(order: Tensor, seed: int) -> list[set[float]]:
        given = batch.take(order)
        some = parts(given, 4, torch.Generator().manual_seed(seed))
        return [set(part.inputs.flatten().tolist()) for part in some]

    one = rows(torch.arange(11), 1)
    assert [len(part) for part in one] == [2] * 4
    assert len(set().union(*one)) == 8
    assert rows(torch.arange(11).flip(0), 1) == one, "whatever the order of the batch"
    assert rows(torch.arange(11), 2) != one
    assert [len(p) for p in parts(batch.take(slice(3)), 4, torch.Generator())] == [1] * 3


def test_both_estimates_are_right_on_average() -> None:
    draws = np.random.default_rng(0)
    mean, std = np.array([0.3, -0.2, 0.0]), np.array([1.0, 0.5, 0.1])
    found = [
        Sample(torch.from_numpy(mean + std * draws.standard_normal((8, 3)))) for _ in range(4000)
    ]
    for values, expected in (
        ([s.variance for s in found], (std**2).sum()),
        ([s.squared_norm for s in found], (mean**2).sum()),
    ):
        error = np.std(values) / math.sqrt(len(values))
        assert np.mean(values) == pytest.approx(expected, abs=4 * error)


def test_gradients_that_cancel_have_no_noise_scale() -> None:
    _, task = made(task__name="adding", task__length=4)
    model = by_hand("elman", 1, 2)
    with torch.no_grad():
        model.readout.weight.zero_()
        model.readout.bias.zero_()
    batch = Batch(torch.ones(4, 8, 1), torch.tensor([1.0, -1.0] * 4)[None, :, None])
    found = measured(model, task, batch)
    # By the readout's bias alone: -2 y. Var = 4·8/7 and the mean is 0.
    assert found.trace == pytest.approx(32 / 7)
    assert found.squared_norm == pytest.approx(-4 / 7)
    assert found.noise_scale is None
    assert "noise_scale" not in found.summary()
    assert (found.norm_shares, found.signed_shares, found.half_lag) == (None, None, None)
    assert "half_lag" not in found.summary()
    assert ParameterGradients.from_dict(json.loads(json.dumps(found.as_dict()))) == found


def test_one_sequence_has_no_noise() -> None:
    model, task = made(task__name="adding", task__length=5, model__hidden=3)
    found = measured(model, task, task.validation().take(slice(1)))
    assert (found.sequences, found.trace, found.noise_scale) == (1, None, None)


def test_norms_by_parameter_and_by_group() -> None:
    model, task, batch = of_shape("embedding and deep")
    found = measured(model, task, batch)
    double, batch = in_double(model, batch)
    task.loss(double(batch), batch.targets).backward()
    expected = {name: float(p.grad.norm()) for name, p in double.named_parameters()}
    assert found.norms == pytest.approx(expected, rel=1e-9)
    assert set(found.groups) == {"recurrent", "input", "vectors", "readout", "other"}
    squares = dict.fromkeys(found.groups, 0.0)
    kinds = {"layer.U": "recurrent", "layer.W": "input", "layer.b": "vectors", "readout": "readout"}
    for name, value in expected.items():
        squares[next((g for k, g in kinds.items() if name.startswith(k)), "other")] += value**2
    assert found.groups == pytest.approx({g: math.sqrt(v) for g, v in squares.items()}, rel=1e-9)
    assert found.norm == pytest.approx(math.sqrt(sum(squares.values())), rel=1e-9)
    assert found.summary()["recurrent/norm"] == found.groups["recurrent"]


def test_what_is_frozen_does_not_count() -> None:
    model, task = made(task__name="adding", task__length=6, model__cell="gru", model__hidden=3)
    batch = task.validation().take(slice(4))
    for parameter in (model.top.U_z, model.top.b_z):
        parameter.requires_grad_(False)
    found = measured(model, task, batch)
    assert not {"layer.U_z", "layer.b_z"} & set(found.norms)
    assert "layer.U_r" in found.norms
    assert sum(found.signed_shares) == pytest.approx(1, abs=1e-3)


def test_a_parameter_behind_a_matrix_has_its_group() -> None:
    model, task = made(task__name="adding", task__length=6, model__cell="orthogonal-rnn")
    found = measured(model, task, task.validation().take(slice(4)))
    behind = [name for name in found.norms if "parametrizations.U" in name]
    assert len(behind) == 1
    assert found.groups["recurrent"] == pytest.approx(found.norms[behind[0]])


def test_what_is_not_finite_is_none() -> None:
    model, task = made(task__name="adding", task__length=6, model__hidden=3)
    torch.nn.init.constant_(model.readout.weight, math.nan)
    batch = task.validation().take(slice(4))
    assert parameter_gradients(model, task, batch, torch.Generator()) is None
