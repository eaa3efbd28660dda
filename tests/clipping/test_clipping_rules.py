"""Each rule against its source: torch's functions, numpy, or the authors' code written out again."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from study.clipping import CLIPPING

SHAPES = [(5, 5), (5, 3), (5,), (1, 5), (1,)]  # U, W, b, and a readout's


def draw(seed: int, scale: float = 1.0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [scale * torch.randn(shape, generator=generator) for shape in SHAPES]


def with_gradients(gradients: Sequence[Tensor]) -> list[torch.nn.Parameter]:
    parameters = [torch.nn.Parameter(torch.zeros_like(g)) for g in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.clone()
    return parameters


def same(found: Sequence[Tensor], expected: Sequence[Tensor | None]) -> None:
    for a, b in zip(found, expected, strict=True):
        assert b is not None
        # torch adds 1e-6 to a norm, and the least of these norms is 0.1
        torch.testing.assert_close(a, b, rtol=2e-5, atol=1e-30)


@pytest.mark.parametrize("threshold", [0.1, 1.0, 6.0, 100.0])
@pytest.mark.parametrize("seed", range(5))
def test_norm_is_torchs(threshold: float, seed: int) -> None:
    gradients = draw(seed)
    witness = with_gradients(gradients)
    norm = torch.nn.utils.clip_grad_norm_(witness, threshold)
    evidence = CLIPPING.build({"name": "norm", "threshold": threshold}).start()(gradients, witness)
    same(gradients, [p.grad for p in witness])
    assert evidence.norm_before == pytest.approx(float(norm), rel=1e-6)
    assert evidence.acted == (float(norm) > threshold)


@pytest.mark.parametrize("threshold", [0.1, 1.0, 100.0])
@pytest.mark.parametrize("seed", range(5))
def test_value_is_torchs_and_numpys(threshold: float, seed: int) -> None:
    gradients = draw(seed)
    expected = [np.clip(g.numpy(), -threshold, threshold) for g in gradients]
    witness = with_gradients(gradients)
    torch.nn.utils.clip_grad_value_(witness, threshold)
    CLIPPING.build({"name": "value", "threshold": threshold}).start()(gradients, witness)
    same(gradients, [p.grad for p in witness])
    same(gradients, [torch.from_numpy(e) for e in expected])


@pytest.mark.parametrize("threshold", [0.1, 1.0, 3.0, 100.0])
@pytest.mark.parametrize("seed", range(5))
def test_param_norm_is_torchs_norm_clipping_of_each_alone(threshold: float, seed: int) -> None:
    gradients = draw(seed)
    witness = with_gradients(gradients)
    norms = [float(torch.nn.utils.clip_grad_norm_([p], threshold)) for p in witness]
    rule = CLIPPING.build({"name": "param-norm", "threshold": threshold})
    evidence = rule.start()(gradients, witness)
    same(gradients, [p.grad for p in witness])
    assert evidence.acted == any(norm > threshold for norm in norms)


def agc(gradient: np.ndarray, weights: np.ndarray, clip: float, eps: float) -> np.ndarray:
    """Of the authors' agc_optax.py, for weights (outputs, inputs), where theirs are (inputs, outputs)."""

    def unitwise_norm(x: np.ndarray) -> np.ndarray:
        if len(np.squeeze(x).shape) <= 1:  # scalars and vectors
            return np.sqrt(np.sum(x**2))
        return np.sqrt(np.sum(x**2, axis=1, keepdims=True))

    g_norm = unitwise_norm(gradient)
    max_norm = clip * np.maximum(unitwise_norm(weights), eps)
    clipped = gradient * (max_norm / np.maximum(g_norm, 1e-6))
    return np.where(g_norm < max_norm, gradient, clipped)


@pytest.mark.parametrize("ratio", [0.001, 0.01, 0.1, 1.0, 100.0])
@pytest.mark.parametrize("eps", [1e-3, 0.5])
@pytest.mark.parametrize("seed", range(3))
def test_adaptive_is_the_authors(ratio: float, eps: float, seed: int) -> None:
    gradients, weights = draw(seed, 0.5), draw(seed + 100)
    weights[2] = torch.zeros(5)  # a bias at its start
    weights[0][3] = 0.0
    expected = [
        agc(g.numpy().astype(float), w.numpy().astype(float), ratio, eps)
        for g, w in zip(gradients, weights, strict=True)
    ]
    before = [g.clone() for g in gradients]
    rule = CLIPPING.build({"name": "adaptive", "ratio": ratio, "eps": eps})
    evidence = rule.start()(gradients, weights)
    same(gradients, [torch.from_numpy(e).float() for e in expected])
    changed = any(not torch.equal(a, b) for a, b in zip(gradients, before, strict=True))
    assert evidence.acted == changed


def test_adaptive_clips_one_unit_and_leaves_the_others() -> None:
    weights = [torch.ones(3, 4)]  # rows of norm 2
    gradients = [torch.tensor([[1.0] * 4, [0.001] * 4, [0.0] * 4])]
    CLIPPING.build({"name": "adaptive", "ratio": 0.1}).start()(gradients, weights)
    assert gradients[0].norm(dim=1).tolist() == pytest.approx([0.2, 0.002, 0.0])


def test_adaptive_takes_parameters_of_no_and_of_three_dimensions() -> None:
    weights = [torch.tensor(2.0), torch.ones(2, 3, 4)]
    gradients = [torch.tensor(5.0), torch.ones(2, 3, 4)]
    CLIPPING.build({"name": "adaptive", "ratio": 0.5}).start()(gradients, weights)
    assert float(gradients[0]) == pytest.approx(1.0)
    torch.testing.assert_close(gradients[1], torch.full((2, 3, 4), 0.5))


@pytest.mark.parametrize("percentile", [0.0, 10.0, 37.5, 50.0, 90.0, 100.0])
def test_percentile_is_the_authors(percentile: float) -> None:
    # autoclip.py: the norm joins the history, numpy.percentile, clip_grad_norm_.
    clipper = CLIPPING.build({"name": "percentile", "percentile": percentile}).start()
    history: list[float] = []
    acted = []
    for step in range(60):
        gradients = draw(step, scale=math.exp(math.sin(step)))
        witness = with_gradients(gradients)
        history.append(math.sqrt(sum(float(g.double().square().sum()) for g in gradients)))
        threshold = np.percentile(history, percentile)
        torch.nn.utils.clip_grad_norm_(witness, threshold)
        acted.append(clipper(gradients, witness).acted)
        same(gradients, [p.grad for p in witness])
    assert sum(acted) == pytest.approx(60 * (1 - percentile / 100), abs=15)
    assert not acted[0], "the first norm is its own percentile"


def test_percentile_forgets_what_was_not_finite() -> None:
    clipper = CLIPPING.build({"name": "percentile", "percentile": 50.0}).start()
    for bad in (math.inf, math.nan):
        assert not clipper([torch.tensor([bad])], [torch.ones(1)]).acted
    for value, expected in ((2.0, 2.0), (4.0, 3.0), (1.0, 1.0)):  # medians 2, 3, 2
        gradients = [torch.tensor([value])]
        clipper(gradients, [torch.ones(1)])
        assert gradients[0].tolist() == pytest.approx([expected])


def test_skip_gives_up_after_its_patience() -> None:
    clipper = CLIPPING.build({"name": "skip", "patience": 2}).start()

    def skipped(value: float) -> bool:
        return clipper([torch.tensor([value])], [torch.ones(1)]).skipped

    assert [skipped(v) for v in (math.nan, math.inf, 1.0)] == [True, True, False]
    assert [skipped(v) for v in (math.inf, -math.inf, math.nan)] == [True, True, False]
    assert not skipped(math.nan), "given up for good"
    assert [skipped(v) for v in (1.0, math.nan)] == [False, True]


def test_signal_clipping_leaves_the_gradient_that_results() -> None:
    gradients = draw(0, 100.0)
    before = [g.clone() for g in gradients]
    CLIPPING.build({"name": "signal", "limit": 0.01}).start()(gradients, before)
    assert all(torch.equal(a, b) for a, b in zip(gradients, before, strict=True))
