"""Initializers of U and W beyond the plain ones, against the source's own construction."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from cases import each
from scipy import stats

from study import Layer
from study.base.errors import UserError
from study.cells import CELLS
from study.initializers import INPUT_WEIGHTS, RECURRENT
from study.language.cell import Cell

# A p-value below this would come once in ten thousand seeds; the seeds here are fixed.
UNLIKELY = 1e-4
SIZES = [1, 2, 5, 64]


def draw(given, size: int, seed: int = 0, registry=RECURRENT) -> np.ndarray:
    g = torch.Generator().manual_seed(seed)
    return registry.build(given).draw((size, size), size, g).numpy()


def radius_of(matrix: np.ndarray) -> float:
    return float(abs(np.linalg.eigvals(matrix)).max())


def assert_orthogonal(q: np.ndarray) -> None:
    np.testing.assert_allclose(q.T @ q, np.eye(len(q)), atol=1e-13)


# --- entries ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(200, 200), (400, 25), (25, 400)])
@pytest.mark.parametrize("registry", [RECURRENT, INPUT_WEIGHTS], ids=lambda r: r.noun)
def test_he_keeps_the_second_moment_through_a_relu(registry, shape):
    """Their condition, ½·fan_in·Var = 1: E[relu(y)²] of y = Wx is that of x."""
    g = torch.Generator().manual_seed(1)
    weights = registry.build("he").draw(shape, shape[0], g).numpy()
    assert shape[1] * weights.var() / 2 == pytest.approx(1, rel=0.05)
    assert stats.kstest(weights.ravel() / weights.std(), "norm").pvalue > UNLIKELY


@pytest.mark.parametrize("std", [0.01, 0.1])
def test_the_networks_of_pascanu_2013_start_normal_in_u(std):
    values = draw({"name": "normal", "std": std}, 100).ravel()
    assert stats.kstest(values, "norm", (0, std)).pvalue > UNLIKELY


# --- spectra ------------------------------------------------------------------------------------


@pytest.mark.parametrize("radius", [0.5, 0.95, 1.1])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["spectral-radius", "sparse"])
def test_the_spectral_radius_is_the_one_asked_for(name, size, radius):
    assert radius_of(draw({"name": name, "radius": radius}, size)) == pytest.approx(radius)


def test_a_spectral_radius_is_no_largest_singular_value():
    """A Gaussian matrix of radius ρ has one near 2ρ (Marchenko & Pastur's edge)."""
    matrix = draw({"name": "spectral-radius", "radius": 1.0}, 300)
    assert np.linalg.norm(matrix, 2) == pytest.approx(2, rel=0.1)


def test_sparse_is_the_smart_tanh_of_pascanu_2013():
    """Each unit sends to 15 others: in h' = tanh(Uh) a column of U is what a unit sends."""
    matrix = draw("sparse", 100)
    assert ((matrix != 0).sum(axis=0) == 15).all()
    received = (matrix != 0).sum(axis=1)
    assert received.mean() == 15
    assert received.std() > 1  # Binomial(100, 0.15) has 3.6; 15 in every row too would be 0
    assert radius_of(matrix) == pytest.approx(0.95)
    values = matrix[matrix != 0]
    assert stats.kstest(values / values.std(), "norm").pvalue > UNLIKELY


def test_sparse_chooses_its_targets_evenly():
    g, hits = torch.Generator().manual_seed(0), np.zeros((6, 6))
    made = RECURRENT.build({"name": "sparse", "nonzeros": 2})
    for _ in range(600):
        hits += (made.draw((6, 6), 6, g) != 0).numpy()
    assert (hits.sum(axis=0) == 1200).all()
    assert stats.chisquare(hits.ravel()).pvalue > UNLIKELY


def test_a_small_layer_keeps_all_weights():
    assert (draw("sparse", 10) != 0).all()


@pytest.mark.parametrize("size", SIZES)
def test_np_rnn_is_the_construction_of_talathi_and_vartak(size):
    """A = RRᵀ/N, U = (A+I)/λ_max(A+I), from the same draw."""
    g = torch.Generator().manual_seed(0)
    r = torch.randn(size, size, generator=g, dtype=torch.float64).numpy()
    a = r @ r.T / size + np.eye(size)
    matrix = draw("np-rnn", size)
    np.testing.assert_allclose(matrix, a / abs(np.linalg.eigvals(a)).max(), atol=1e-14)
    eigenvalues = np.linalg.eigvalsh(matrix)
    assert eigenvalues[-1] == pytest.approx(1)
    assert eigenvalues[0] > 0
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-15)


@pytest.mark.parametrize("margin", [0.01, 0.1, 1.0])
def test_soft_orthogonal_keeps_its_singular_values_in_the_margin(margin):
    s = np.linalg.svd(draw({"name": "soft-orthogonal", "margin": margin}, 100), compute_uv=False)
    assert abs(s - 1).max() < margin
    # s = 2mσ(p) + 1 - m, so log(σ/(1-σ)) of where it lies in the margin is p again.
    share = (s - 1 + margin) / (2 * margin)
    assert stats.kstest(np.log(share / (1 - share)), "norm").pvalue > UNLIKELY


def test_soft_orthogonal_is_orthogonal_where_p_does_not_spread():
    """Their own start, p = 0."""
    assert_orthogonal(draw({"name": "soft-orthogonal", "spread": 1e-15}, 20))


def test_soft_orthogonal_has_no_preferred_direction():
    made, g = RECURRENT.build("soft-orthogonal"), torch.Generator().manual_seed(0)
    drawn = torch.stack([made.draw((4, 4), 4, g) for _ in range(2000)]).numpy()
    # E[U_ij²] = E[s²]/n for every entry
    second = (drawn**2).mean(axis=0)
    np.testing.assert_allclose(second, second.mean(), rtol=0.15)  # 4 standard errors of 1/√2000


# --- rotations ----------------------------------------------------------------------------------


def skew(entries: np.ndarray, size: int) -> np.ndarray:
    above = np.zeros(size - 1)
    above[::2] = entries
    matrix = np.diag(above, 1)
    return matrix - matrix.T


@pytest.mark.parametrize("size", [2, 5, 64, 65])
def test_skew_henaff_is_the_exponential_of_its_skew_blocks(size):
    g = torch.Generator().manual_seed(0)
    u = torch.rand(size // 2, generator=g, dtype=torch.float64).numpy()
    expected = scipy.linalg.expm(skew(math.pi * (2 * u - 1), size))
    np.testing.assert_allclose(draw("skew-henaff", size), expected, atol=1e-13)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("size", [2, 5, 64, 65])
def test_skew_cayley_is_the_scaled_transform_of_its_skew_blocks(size, share):
    g = torch.Generator().manual_seed(0)
    u = np.pi / 2 * torch.rand(size // 2, generator=g, dtype=torch.float64).numpy()
    a = skew(-np.sqrt((1 - np.cos(u)) / (1 + np.cos(u))), size)
    negative = round(share * size)
    d = np.diag([1.0] * (size - negative) + [-1.0] * negative)
    expected = np.linalg.solve(np.eye(size) + a, np.eye(size) - a) @ d
    matrix = draw({"name": "skew-cayley", "negative_share": share}, size)
    np.testing.assert_allclose(matrix, expected, atol=1e-13)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["skew-henaff", "skew-cayley"])
def test_skew_gives_orthogonal_matrices(name, size):
    matrix = draw(name, size)
    assert_orthogonal(matrix)
    assert np.linalg.det(matrix) == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "low", "high"), [("skew-henaff", 0, math.pi), ("skew-cayley", 0, math.pi / 2)]
)
def test_the_phases_of_skew_are_uniform(name, low, high):
    phases = np.angle(np.linalg.eigvals(draw(name, 1000)))
    assert stats.kstest(phases[phases > 0], "uniform", (low, high - low)).pvalue > UNLIKELY


# --- what they suit -----------------------------------------------------------------------------

STATELESS = Cell(
    name="gateless", state="h", equations="h' = p_h*h + W x + b", source="test: no recurrent matrix"
)
ABOUT_THE_NETWORK = {"identity", "scaled-identity", "np-rnn", "skew-henaff", "skew-cayley"}


@pytest.mark.parametrize("name", RECURRENT)
def test_what_is_said_of_every_matrix_suits_any_number_of_them(name):
    made = RECURRENT.build(name)
    assert made.refusal(CELLS["elman"]) is None
    for cell in (CELLS["lstm"], STATELESS):
        assert (made.refusal(cell) is not None) == (name in ABOUT_THE_NETWORK), cell.name


def test_the_identity_is_refused_where_there_is_no_matrix():
    with pytest.raises(UserError, match="gateless has none; use uniform"):
        Layer(STATELESS, 2, 3, recurrent="identity")


@pytest.mark.parametrize("name", ["star", "lightru", "atr"])
def test_the_identity_is_refused_where_the_matrix_acts_in_gates_only(name):
    with pytest.raises(UserError, match="acts in gates only"):
        Layer(name, 2, 3, recurrent="identity")


@pytest.mark.parametrize("name", ["elman", "lt-rnn", "leaky", "fastrnn", "fastgrnn", "clockwork"])
def test_the_identity_suits_cells_of_one_matrix_that_carries_the_state(name):
    layer = Layer(name, 2, 8, recurrent="identity")
    assert torch.equal(layer.U, torch.eye(8))


def test_a_sigmoid_that_is_the_state_is_no_gate():
    cell = Cell(name="s", state="h", equations="h' = sigmoid(W x + U h + b)", source="test")
    assert RECURRENT.build("identity").refusal(cell) is None


@each("cell", [n for n in CELLS if CELLS[n].forms])
@each("name", RECURRENT)
def test_an_initializer_that_a_cell_would_undo_is_refused(cell, name):
    """Of those that are accepted, the matrix is in the layer as it was drawn."""
    made, [u] = RECURRENT.build(name), CELLS[cell].recurrent_matrices
    if made.refusal(CELLS[cell]) or name in ("uniform", "xavier", "he", "normal"):
        return  # entries one by one: they start the free numbers, whatever follows from these
    g = torch.Generator()
    layer = Layer(cell, 2, 24, recurrent=name, dtype=torch.float64, generator=g)
    g = torch.Generator()
    for parameter in layer.cell.parameters.values():  # in this order, from the same generator
        if parameter.columns == "I":
            INPUT_WEIGHTS.build("uniform").draw((24, 2), 24, g)
        if parameter.name == u:
            torch.testing.assert_close(getattr(layer, u).detach(), made.draw((24, 24), 24, g))


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("antisymmetric", "orthogonal"),
        ("clockwork", "spectral-radius"),
        ("orthogonal-rnn", "np-rnn"),
        ("orthogonal-rnn", "soft-orthogonal"),
    ],
)
def test_constraints_name_themselves(cell, name):
    with pytest.raises(UserError, match=r"constrains U .* which undoes it") as caught:
        Layer(cell, 2, 8, recurrent=name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["orthogonal", "identity", "spectral-radius", "sparse"])
def test_a_fixed_matrix_is_not_said_to_be_drawn(name):
    with pytest.raises(
        UserError, match=r"U is fixed, 1/2 on .*: there is nothing to draw"
    ) as caught:
        Layer("influence", 2, 8, recurrent=name)
    assert "\n" not in str(caught.value)
