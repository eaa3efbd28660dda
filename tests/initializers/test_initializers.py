"""Initializers against the property that defines each."""

import math

import numpy as np
import pytest
import torch
from cases import each
from scipy import stats
from torch import Generator, Tensor

from study import Cell, Layer
from study.base.errors import UserError
from study.cells import CELLS
from study.initializers import BIASES, INPUT_WEIGHTS, RECURRENT, Identity, Zeros

# A p-value below this would come once in ten thousand seeds; the seeds here are fixed.
UNLIKELY = 1e-4


def generator(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def draw(registry, given, shape=(6, 6), hidden=None, seed=0) -> Tensor:
    return registry.build(given).draw(shape, hidden or shape[0], generator(seed))


MATRIX_CHOICES = [(r, n) for r in (RECURRENT, INPUT_WEIGHTS) for n in r]


def ids(value):
    return value if isinstance(value, str) else getattr(value, "noun", None)


def test_what_is_promised_is_there():
    assert {"uniform", "xavier", "orthogonal", "identity", "scaled-identity"} <= set(RECURRENT)
    assert {"zeros", "forget"} <= set(BIASES)


# --- all of them --------------------------------------------------------------------------------


@pytest.mark.parametrize(("registry", "name"), MATRIX_CHOICES, ids=ids)
def test_the_same_generator_gives_the_same_bytes(registry, name):
    g = generator(3)
    state = g.get_state()
    first = registry.build(name).draw((5, 5), 5, g)
    g.set_state(state)
    again = registry.build(name).draw((5, 5), 5, g)
    assert first.numpy().tobytes() == again.numpy().tobytes()
    assert first.dtype == torch.float64
    assert first.shape == (5, 5)
    assert first.isfinite().all()


@pytest.mark.parametrize(("registry", "name"), MATRIX_CHOICES, ids=ids)
def test_no_draw_touches_torchs_global_generator(registry, name):
    before = torch.get_rng_state()
    draw(registry, name)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", ["uniform", "xavier", "orthogonal"])
def test_other_seeds_give_other_matrices(name):
    assert not torch.equal(draw(RECURRENT, name, seed=0), draw(RECURRENT, name, seed=1))


@pytest.mark.parametrize("name", INPUT_WEIGHTS)
def test_input_weights_may_be_of_any_shape(name):
    for shape in [(4, 1), (1, 4), (3, 7)]:
        assert draw(INPUT_WEIGHTS, name, shape).shape == shape


@each("cell", CELLS)
@each("name", RECURRENT)
def test_every_initializer_suits_a_cell_or_says_why_not(name, cell):
    reason = RECURRENT.build(name).refusal(CELLS[cell])
    if reason is None:
        layer = Layer(cell, 2, 3, recurrent=name, generator=generator())
        assert all(getattr(layer, m).isfinite().all() for m in layer.cell.recurrent_matrices)
        return
    assert "\n" not in reason
    with pytest.raises(UserError) as caught:
        Layer(cell, 2, 3, recurrent=name)
    for part in (name, cell, reason):
        assert part in str(caught.value)


@each("cell", CELLS)
@each("name", BIASES)
def test_every_bias_initializer_suits_a_cell_or_says_why_not(name, cell):
    reason = BIASES.build(name).refusal(CELLS[cell])
    if reason is None:
        Layer(cell, 2, 3, biases=name, generator=generator())
        return
    with pytest.raises(UserError) as caught:
        Layer(cell, 2, 3, biases=name)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


# --- one by one ---------------------------------------------------------------------------------


@pytest.mark.parametrize("registry", [RECURRENT, INPUT_WEIGHTS], ids=ids)
@pytest.mark.parametrize(("shape", "hidden"), [((100, 100), 100), ((64, 300), 64)])
def test_uniform_is_uniform_in_one_over_root_hidden(registry, shape, hidden):
    values = draw(registry, "uniform", shape, hidden).flatten().numpy()
    bound = 1 / math.sqrt(hidden)
    assert abs(values).max() <= bound
    assert stats.kstest(values, "uniform", (-bound, 2 * bound)).pvalue > UNLIKELY


def test_uniform_is_torchs_default():
    """nn.LSTM's weights and ours come from one distribution."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        theirs = torch.cat([p.flatten() for p in torch.nn.LSTM(20, 50).parameters()]).detach()
    layer = Layer("lstm", 20, 50, biases="uniform", generator=generator())
    ours = torch.cat([p.flatten() for p in layer.parameters()]).detach()
    assert abs(ours.abs().max() - theirs.abs().max()) < 1e-3
    assert stats.ks_2samp(ours.numpy(), theirs.numpy()).pvalue > UNLIKELY


@pytest.mark.parametrize("registry", [RECURRENT, INPUT_WEIGHTS], ids=ids)
@pytest.mark.parametrize("shape", [(200, 200), (50, 400), (400, 20)])
def test_xavier_has_the_variance_of_glorot(registry, shape):
    values = draw(registry, "xavier", shape).flatten().numpy()
    variance = 2 / sum(shape)  # Glorot & Bengio (2010), eq. 12
    bound = math.sqrt(3 * variance)
    assert abs(values).max() <= bound
    # the sample variance of n uniforms is off by about √(0.8/n), here 1 % at most
    assert values.var() == pytest.approx(variance, rel=0.05)
    assert stats.kstest(values, "uniform", (-bound, 2 * bound)).pvalue > UNLIKELY


def test_xavier_takes_each_gate_by_itself():
    """An LSTM's four matrices are not one of 4H rows."""
    layer = Layer("lstm", 30, 40, recurrent="xavier", inputs="xavier", generator=generator())
    for k in "ifgo":
        u, w = layer.get_parameter(f"U_{k}"), layer.get_parameter(f"W_{k}")
        assert u.abs().max().item() == pytest.approx(math.sqrt(6 / 80), rel=0.02)
        assert w.abs().max().item() == pytest.approx(math.sqrt(6 / 70), rel=0.02)


@pytest.mark.parametrize("std", [0.001, 0.01, 1.0])
def test_normal_has_its_standard_deviation(std):
    values = draw(INPUT_WEIGHTS, {"name": "normal", "std": std}, (100, 100)).flatten().numpy()
    assert stats.kstest(values, "norm", (0, std)).pvalue > UNLIKELY


@pytest.mark.parametrize("hidden", [1, 2, 5, 64])
def test_orthogonal_is_orthogonal(hidden):
    q = draw(RECURRENT, "orthogonal", (hidden, hidden))
    torch.testing.assert_close(q.T @ q, torch.eye(hidden, dtype=torch.float64), atol=1e-13, rtol=0)


@pytest.fixture(scope="module")
def many_orthogonal() -> np.ndarray:
    made, g = RECURRENT.build("orthogonal"), generator(7)
    return torch.stack([made.draw((3, 3), 3, g) for _ in range(3000)]).numpy()


def test_orthogonal_has_no_preferred_direction(many_orthogonal):
    """Uniform over O(3) (Haar). An entry is then U[-1,1] (Archimedes), whichever it is.

    LAPACK's Q without the signs of R's diagonal fails: its first column points away from e_1.
    """
    for row in range(3):
        for column in range(3):
            entry = many_orthogonal[:, row, column]
            assert stats.kstest(entry, "uniform", (-1, 2)).pvalue > UNLIKELY


def test_orthogonal_has_the_traces_of_the_haar_measure(many_orthogonal):
    """Diaconis & Shahshahani (1994): the trace has mean 0 and variance 1 over O(n)."""
    traces = np.trace(many_orthogonal, axis1=1, axis2=2)
    assert abs(traces.mean()) < 4 / math.sqrt(len(traces))
    assert traces.var() == pytest.approx(1, abs=0.1)


def test_orthogonal_draws_rotations_as_often_as_reflections(many_orthogonal):
    rotations = int((np.linalg.det(many_orthogonal) > 0).sum())
    assert stats.binomtest(rotations, len(many_orthogonal)).pvalue > UNLIKELY


def test_orthogonal_takes_each_gate_by_itself():
    layer = Layer("gru", 2, 4, recurrent="orthogonal", generator=generator(), dtype=torch.float64)
    matrices = [layer.get_parameter(m).detach() for m in layer.cell.recurrent_matrices]
    for u in matrices:
        torch.testing.assert_close(u @ u.T, torch.eye(4, dtype=torch.float64))
    assert not torch.allclose(matrices[0], matrices[1])


def test_identity_hands_the_state_on():
    layer = Layer("elman", 2, 4, phi="relu", recurrent="identity", dtype=torch.float64)
    start = {"h": torch.rand(3, 4, generator=generator(), dtype=torch.float64)}
    outputs, _ = layer(torch.zeros(20, 3, 2, dtype=torch.float64), start)
    assert torch.equal(outputs[-1], start["h"])


@pytest.mark.parametrize("scale", [0.01, 0.5, 1.0])
def test_scaled_identity(scale):
    value = draw(RECURRENT, {"name": "scaled-identity", "scale": scale}, (3, 3))
    assert torch.equal(value, scale * torch.eye(3, dtype=torch.float64))


@pytest.mark.parametrize("name", ["identity", "scaled-identity"])
@pytest.mark.parametrize("cell", ["lstm", "gru", "gru-torch"])
def test_the_identity_is_refused_by_cells_of_several_matrices(cell, name):
    with pytest.raises(UserError, match="U_") as caught:
        Layer(cell, 2, 3, recurrent=name)
    assert f"initializer '{name}' does not suit {cell}" in str(caught.value)


def test_zeros():
    layer = Layer("lstm", 2, 3, biases="zeros")
    assert all((layer.get_parameter(f"b_{k}") == 0).all() for k in "ifgo")


@each("value", [1.0, -2.5, 5])
@each("cell", [n for n in CELLS if CELLS[n].forget_gate])
def test_the_forget_bias_is_on_the_forget_gate_only(cell, value):
    layer = Layer(cell, 2, 3, biases={"name": "forget", "value": value})
    gate = f"b_{CELLS[cell].forget_gate}"
    biases = {n: p for n, p in layer.named_parameters() if n.startswith("b")}
    assert gate in biases
    written = 1 if cell == "lstm-b" else 0  # its equations add it
    for name, p in biases.items():
        assert (p == (value - written if name == gate else 0)).all(), name


def test_the_forget_bias_is_refused_where_there_is_no_forget_gate():
    with pytest.raises(UserError, match="elman has no forget gate"):
        Layer("elman", 2, 3, biases="forget")
    with pytest.raises(UserError, match="no forget gate"):
        Layer(CELLS["lstm"].replace(f="1 - i"), 2, 3, biases="forget")


def test_peepholes_are_not_biases():
    cell = Cell(name="peephole", state="h", equations="h' = tanh(W x + p_h*h + b_h)", source="test")
    layer = Layer(cell, 2, 50, biases="zeros", generator=generator())
    assert (layer.b_h == 0).all()
    assert layer.p_h.abs().max() <= 1 / math.sqrt(50)
    assert layer.p_h.std() > 0.5 / math.sqrt(150)


# --- mistakes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("registry", "given", "said"),
    [
        (RECURRENT, "ortogonal", "did you mean 'orthogonal'?"),
        (RECURRENT, {"name": "identitty"}, "did you mean 'identity'?"),
        (RECURRENT, {}, "needs a name"),
        (RECURRENT, {"name": "scaled-identity", "scale": 0}, "greater than 0"),
        (RECURRENT, {"name": "scaled-identity", "scale": "a"}, "number"),
        (RECURRENT, {"name": "scaled-identity", "skale": 1}, "no parameter 'skale'"),
        (RECURRENT, {"name": "orthogonal", "gain": 2}, "no parameter 'gain'"),
        (INPUT_WEIGHTS, {"name": "normal", "std": -1}, "greater than 0"),
        (INPUT_WEIGHTS, {"name": "normal", "std": math.inf}, "finite"),
        (INPUT_WEIGHTS, "orthogonal", "no initializer of W named 'orthogonal'"),
        (BIASES, {"name": "forget", "value": math.nan}, "finite"),
        (BIASES, "forgt", "did you mean 'forget'?"),
    ],
)
def test_mistakes_are_one_line(registry, given, said):
    with pytest.raises(UserError) as caught:
        registry.build(given)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "choices", [{"recurrent": Zeros()}, {"inputs": Identity()}, {"biases": Identity()}]
)
def test_an_initializer_of_another_kind_is_refused(choices):
    with pytest.raises(UserError):
        Layer("elman", 2, 3, **choices)


@pytest.mark.parametrize("given", [None, 5, ["uniform"], ("name", "uniform")])
def test_what_is_neither_a_name_nor_a_mapping_is_refused(given):
    with pytest.raises(UserError):
        RECURRENT.build(given)
