"""Initializers of biases and of the other vectors, against what defines them."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from cases import each
from scipy import stats

from study import Layer
from study.base.errors import UserError
from study.cells import CELLS
from study.initializers import BIASES, VECTORS, biases_of, vectors_of
from study.initializers.gates import Keeper, keeper
from study.language.cell import Cell
from study.trial.config import TrialConfig
from study.trial.construction import build_model

UNLIKELY = 1e-4  # as in test_initializers
LSTM = CELLS["lstm"]


def cell(equations: str, forget: str | None = None, **roles: Any) -> Cell:
    return Cell(
        name="made", state="h", equations=equations, source="test", forget_gate=forget, **roles
    )


def layer(of: str | Cell, hidden: int = 2000, seed: int = 0, **choices: object) -> dict:
    made = Layer(
        of, 1, hidden, generator=torch.Generator().manual_seed(seed), dtype=torch.float64, **choices
    )
    return {n: p.detach().numpy() for n, p in made.named_parameters()}


UPDATE = "z = sigmoid(W_z x + U_z h + b_z)\n n = phi(W_n x + U_n h + b_n)\n"
KEEPS_NEAR_ONE = cell(UPDATE + "h' = z*h + (1 - z)*n", "z")
KEEPS_NEAR_ZERO = cell(UPDATE + "h' = (1 - z)*h + z*n", update_gate="z")
OFFSET = cell("f = sigmoid(W_f x + U_f h + b_f + 2)\n h' = f*h + phi(W x)", "f")
SQUASHED = cell("f = sigmoid(W_f x + tanh(U_f h) + b_f)\n h' = f*h + phi(W x)", "f")
LOGIT = cell("f = W_f x + U_f h + b_f\n h' = sigmoid(f)*h + phi(W x)", "f")
LOGARITHM = cell("f = -softplus(-(W_f x + U_f h + b_f))\n h' = exp(f)*h + phi(W x)", "f")
HALF = cell("f = 0.5*sigmoid(W_f x + U_f h + b_f)\n h' = f*h + phi(W x)", "f")
INDEPENDENT = cell("h' = phi(W x + p_u*h + b)")
PEEPHOLES = cell("f = sigmoid(W_f x + U_f h + p_f*h + b_f)\n h' = f*h + phi(W x + p_n*h + b)", "f")
RING = cell(
    "a = exp(-exp(p_nu))\n h' = a*cos(exp(p_theta))*h + exp(p_gamma)*(W x) + p_d*h",
    starts={"p_d": 1.0},
)


# --- which gate keeps the state -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (LSTM, Keeper("f", 1)),
        (CELLS["gru"], Keeper("z", 1)),
        (KEEPS_NEAR_ONE, Keeper("z", 1)),
        (KEEPS_NEAR_ZERO, Keeper("z", -1)),
        (OFFSET, Keeper("f", 1, 2.0)),
        (SQUASHED, Keeper("f", 1)),
        (LOGIT, Keeper("f", 1)),
        (LOGARITHM, Keeper("f", 1)),
        (CELLS["lstm-cifg"], Keeper("i", -1)),
        (CELLS["lstm-fgr"], Keeper("f", 1)),
        (CELLS["lstm-1997"], None),  # the input gate decides what comes in, not what stays
        (CELLS["sgu"], None),  # a hard sigmoid
        (HALF, None),
        (PEEPHOLES, Keeper("f", 1)),
        (CELLS["elman"], None),
    ],
)
def test_the_gate_that_keeps_the_state_is_read_off_the_equations(of, expected):
    assert keeper(of) == expected


# Where more than a gate decides: the state feeds back beside the gate, or is normalized.
MORE_THAN_A_GATE = {"br", "nbr", "slstm"}
KEPT = [c for n, c in CELLS.items() if keeper(c) and n not in MORE_THAN_A_GATE]


@each("of", [*KEPT, KEEPS_NEAR_ZERO, OFFSET, SQUASHED, LOGIT, LOGARITHM], ids=lambda c: c.name)
def test_at_rest_the_state_decays_with_the_timescale(of):
    """Run: with all weights 0, a step leaves 1 - 1/τ of a state so small that φ' = 1."""
    biases = {"name": "chrono", "t_max": 40}
    made = Layer(of, 1, 50, biases=biases, dtype=torch.float64, engine="reference")
    gate = keeper(of)
    with torch.no_grad():
        for name, p in made.named_parameters():
            if not name.startswith("b"):
                p.zero_()
    timescale = 1 + torch.exp(gate.sign * (made.get_parameter(gate.bias) + gate.offset))
    x = torch.zeros(1, 1, 1, dtype=torch.float64)
    rest = made.initial_state(x)

    def kept(state: str) -> torch.Tensor:
        small = rest | {state: torch.full((1, 50), 1e-6, dtype=torch.float64)}
        return (made(x, small)[1][state] - made(x, rest)[1][state])[0] / 1e-6

    assert any(torch.allclose(kept(s), 1 - 1 / timescale, rtol=1e-5) for s in of.variables)


# --- biases -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BIASES)
@pytest.mark.parametrize("of", [LSTM, KEEPS_NEAR_ONE, INDEPENDENT], ids=["lstm", "update", "indep"])
def test_every_bias_is_drawn_and_nothing_else(of, name):
    made = BIASES.build(name)
    if made.refusal(of):
        assert name in ("forget", "slstm-powers", "chrono")
        return
    drawn = made.draw(of, 7, torch.Generator().manual_seed(0))
    assert drawn.keys() == biases_of(of, 7).keys()
    assert all(v.shape == (7,) and v.dtype == torch.float64 for v in drawn.values())


def test_chrono_is_the_formula_of_tallec_and_ollivier_for_lstms():
    """b_f = log U[1, T_max - 1], b_i = -b_f, all others 0; timescales are uniform in [2, T_max]."""
    drawn = layer(LSTM, biases={"name": "chrono", "t_max": 50})
    assert stats.kstest(np.exp(drawn["b_f"]), "uniform", (1, 48)).pvalue > UNLIKELY
    np.testing.assert_array_equal(drawn["b_i"], -drawn["b_f"])
    timescales = 1 + np.exp(layer(OFFSET, biases={"name": "chrono", "t_max": 50})["b_f"] + 2)
    assert stats.kstest(timescales, "uniform", (2, 48)).pvalue > UNLIKELY
    assert not any(drawn[f"b_{g}"].any() for g in "go")


@pytest.mark.parametrize(
    ("of", "sign"), [(KEEPS_NEAR_ONE, 1), (KEEPS_NEAR_ZERO, -1), (CELLS["lstm-cifg"], -1)]
)
def test_chrono_of_a_single_gate_keeps_for_t_min_to_t_max_steps(of, sign):
    """b_z = -log(U[T_min, T_max] - 1) where z near 0 keeps, the opposite where z near 1 does."""
    drawn = layer(of, biases={"name": "chrono", "t_min": 5, "t_max": 20})
    b = drawn[keeper(of).bias]
    assert stats.kstest(np.exp(sign * b) + 1, "uniform", (5, 15)).pvalue > UNLIKELY
    # σ(-sign·b) = 1/τ is what a step replaces
    assert (1 / (1 + np.exp(sign * b))).max() <= 1 / 5


@pytest.mark.parametrize(
    ("of", "said"),
    [(CELLS["elman"], "no gate"), (CELLS["lstm-1997"], "no gate"), (HALF, "no sigmoid")],
)
def test_chrono_is_refused_where_no_gate_has_a_timescale(of, said):
    with pytest.raises(UserError, match=said) as caught:
        Layer(of, 1, 3, biases="chrono")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("given", [{"t_max": 1}, {"t_min": 1}, {"t_min": 9, "t_max": 8}])
def test_a_chrono_range_without_steps_is_refused(given):
    with pytest.raises(UserError, match="t_m") as caught:
        BIASES.build({"name": "chrono", **given})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("task", "lags", "longest"),
    [
        ({"name": "adding", "length": 30}, 1.0, 29),  # the first value, at the first step
        ({"name": "copy", "length": 40}, 1.5, 75),  # 3/2 of the steps from a symbol to its recall
    ],
)
def test_chrono_follows_the_lag_of_the_task(task, lags, longest):
    bias = {"name": "chrono", "lags": lags}
    config = TrialConfig.from_nested(
        {"task": task, "model": {"cell": "lstm", "hidden": 2000}, "init": {"bias": bias}}
    )
    assert TrialConfig.from_flat(config.flat()) == config
    drawn = dict(build_model(config).named_parameters())["layer.b_f"].detach().numpy()
    assert stats.kstest(1 + np.exp(drawn), "uniform", (2, longest - 2)).pvalue > UNLIKELY


def test_chrono_that_follows_a_lag_needs_one_that_is_long_enough():
    with pytest.raises(UserError, match="set t_max"):
        Layer(LSTM, 1, 3, biases={"name": "chrono", "lags": 1.0})
    with pytest.raises(UserError, match=r"got 2 and 1 × 1\)") as caught:
        TrialConfig.from_flat(
            {
                "task.length": 2,
                "model.cell": "lstm",
                "init.bias.name": "chrono",
                "init.bias.lags": 1.0,
            }
        )
    assert "\n" not in str(caught.value)


def test_slstm_powers_are_those_of_the_authors_code():
    """-(-5 + 12·(k/(H-1))^0.3), written as there."""
    drawn = layer(LSTM, 64, biases="slstm-powers")
    expected = [-(-5.0 + 12.0 * (k / 63) ** 0.3) for k in range(64)]
    np.testing.assert_allclose(drawn["b_f"], expected, atol=1e-14)
    assert (drawn["b_f"][0], drawn["b_f"][-1]) == (5, -7)
    assert not any(drawn[f"b_{g}"].any() for g in "igo")
    assert layer(LSTM, 1, biases="slstm-powers")["b_f"].tolist() == [5.0]
    last = layer(LSTM, 64, biases={"name": "slstm-powers", "power": 1.6})
    assert (last["b_f"][1:-1] > drawn["b_f"][1:-1]).all()


@pytest.mark.parametrize("of", [CELLS["elman"], KEEPS_NEAR_ZERO], ids=["elman", "update"])
def test_slstm_powers_need_a_forget_gate(of):
    with pytest.raises(UserError, match="no forget gate"):
        Layer(of, 1, 3, biases="slstm-powers")


@pytest.mark.parametrize("name", BIASES)
def test_the_biases_leave_the_matrices_as_they_are(name):
    ours, zeros = layer(LSTM, 5, biases=name), layer(LSTM, 5, biases="zeros")
    for matrix in (n for n in ours if n[0] in "UW"):
        np.testing.assert_array_equal(ours[matrix], zeros[matrix])


# --- vectors ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VECTORS)
@pytest.mark.parametrize("of", [LSTM, INDEPENDENT, PEEPHOLES, RING])
def test_every_vector_is_drawn_the_same_for_the_same_generator(of, name):
    made = VECTORS.build(name)
    if made.refusal(of):
        assert name == "lru-ring"
        assert of is not RING
        return
    drawn, again = (made.draw(of, 6, torch.Generator().manual_seed(2)) for _ in range(2))
    assert list(drawn) == list(vectors_of(of, 6))
    for vector in drawn:
        assert drawn[vector].shape == (6,)
        assert torch.equal(drawn[vector], again[vector])
        assert drawn[vector].isfinite().all()


def test_the_default_starts_vectors_as_torch_starts_everything():
    peepholes = layer(PEEPHOLES)
    for name in ("p_f", "p_n"):
        bound = 1 / math.sqrt(2000)
        assert stats.kstest(peepholes[name], "uniform", (-bound, 2 * bound)).pvalue > UNLIKELY
    assert not layer(PEEPHOLES, vectors="zeros")["p_f"].any()
    np.testing.assert_array_equal(layer(PEEPHOLES, vectors="uniform")["p_f"], peepholes["p_f"])


def test_a_cell_may_say_how_its_vectors_start():
    of = cell("h' = p_u*h + p_a*phi(W x) + p_b", starts={"p_u": (0.5, 1.5), "p_a": -3.0})
    drawn = layer(of)
    assert stats.kstest(drawn["p_u"], "uniform", (0.5, 1.0)).pvalue > UNLIKELY
    assert (drawn["p_a"] == -3).all()
    assert abs(drawn["p_b"]).max() <= 1 / math.sqrt(2000)


def test_a_cell_may_name_the_initializer_of_its_vectors():
    of = cell(str(RING.equations), starts="lru-ring")
    named, chosen = layer(of), layer(of, vectors="lru-ring")
    for name in ("p_nu", "p_theta", "p_gamma", "p_d"):
        np.testing.assert_array_equal(named[name], chosen[name])


@pytest.mark.parametrize(("r_min", "r_max", "phase"), [(0, 1, 6.28), (0.9, 0.999, 0.314)])
def test_the_lru_starts_uniform_over_its_ring(r_min, r_max, phase):
    drawn = layer(
        RING, vectors={"name": "lru-ring", "r_min": r_min, "r_max": r_max, "max_phase": phase}
    )
    eigenvalues = np.exp(-np.exp(drawn["p_nu"]) + 1j * np.exp(drawn["p_theta"]))
    # Uniform over the ring's area: |λ|² is uniform between the squares.
    low, high = r_min**2, r_max**2
    assert stats.kstest(abs(eigenvalues) ** 2, "uniform", (low, high - low)).pvalue > UNLIKELY
    phases = np.angle(eigenvalues) % (2 * np.pi)
    assert stats.kstest(phases, "uniform", (0, phase)).pvalue > UNLIKELY
    # e^γ makes the state's variance that of its input, 1/(1-|λ|²) of which a white one would get.
    np.testing.assert_allclose(np.exp(drawn["p_gamma"]), np.sqrt(1 - abs(eigenvalues) ** 2))
    assert (drawn["p_d"] == 1).all()


def test_the_ring_is_refused_where_there_are_no_eigenvalues():
    with pytest.raises(UserError, match="made has no p_nu, p_theta, p_gamma"):
        Layer(INDEPENDENT, 1, 3, vectors="lru-ring")
    with pytest.raises(UserError, match="r_min must be below r_max"):
        VECTORS.build({"name": "lru-ring", "r_min": 0.5, "r_max": 0.5})
