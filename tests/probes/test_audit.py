"""The audit at step 0 against numpy, on matrices whose numbers are known."""

import math

import numpy as np
import pytest
import torch
from cases import each

from study import Layer
from study.cells import CELLS
from study.initializers.gates import keeper
from study.language.cell import Cell
from study.language.nonlinearities import NONLINEARITIES
from study.networks.stack import Stack
from study.probes.audit import Audit, MatrixAudit, audit, audit_matrix, slope_bound
from study.trial.config import TrialConfig
from study.trial.construction import build_model
from study.trial.probing import Probed
from study.trial.training import train


def rotation(angle: float) -> np.ndarray:
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


# matrix, spectral radius, largest singular value, ‖UᵀU - I‖_F/√H, by hand
KNOWN = {
    "identity": (np.eye(3), 1, 1, 0),
    "rotation": (rotation(0.7), 1, 1, 0),
    "half a rotation": (0.5 * rotation(2.0), 0.5, 0.5, 0.75),
    # UᵀU = diag(0, 4): nilpotent, so the state dies in two steps, though the first doubles it.
    "non-normal": (np.array([[0.0, 2.0], [0.0, 0.0]]), 0, 2, math.sqrt((1 + 9) / 2)),
    "zeros": (np.zeros((4, 4)), 0, 0, 1),
    "one unit": (np.array([[-3.0]]), 3, 3, 8),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_matrices(name):
    matrix, radius, largest, error = KNOWN[name]
    found = audit_matrix(torch.from_numpy(matrix), 0.25)
    assert found.spectral_radius == pytest.approx(radius, abs=1e-12)
    assert found.largest_singular_value == pytest.approx(largest, abs=1e-12)
    assert found.orthogonality_error == pytest.approx(error, abs=1e-12)
    assert found.gradient_bound == pytest.approx(largest / 4, abs=1e-12)


def test_a_random_matrix_against_numpy():
    u = np.random.default_rng(0).normal(size=(30, 30))
    found = audit_matrix(torch.from_numpy(u))
    assert found.spectral_radius == pytest.approx(abs(np.linalg.eigvals(u)).max())
    assert found.largest_singular_value == pytest.approx(np.linalg.svd(u, compute_uv=False)[0])
    error = np.linalg.norm(u.T @ u - np.eye(30)) / math.sqrt(30)
    assert found.orthogonality_error == pytest.approx(error)
    assert found.gradient_bound is None


@each("cell", CELLS)
def test_every_recurrent_matrix_is_there(cell):
    layer = Layer(cell, 2, 16, generator=torch.Generator().manual_seed(0))
    found = audit(layer)
    assert list(found.matrices) == list(layer.cell.recurrent_matrices)
    assert bool(found.timescales) == (keeper(layer.cell) is not None)
    assert Audit.from_dict(found.as_dict()) == found
    for name, matrix in found.matrices.items():
        u = getattr(layer, name).detach().double().numpy()
        assert matrix.spectral_radius == pytest.approx(abs(np.linalg.eigvals(u)).max())


def test_a_constrained_matrix_is_audited_as_it_acts():
    kept = audit(Layer("orthogonal-rnn", 2, 9, dtype=torch.float64)).matrices["U"]
    assert kept.orthogonality_error < 1e-12
    antisymmetric = Layer("antisymmetric", 2, 9, dtype=torch.float64)
    u = antisymmetric.U.detach().numpy()
    found = audit(antisymmetric).matrices["U"]
    # A normal matrix: its singular values are the moduli of its eigenvalues.
    assert found.spectral_radius == pytest.approx(found.largest_singular_value)
    assert found.largest_singular_value == pytest.approx(np.linalg.norm(u, 2))


def test_an_audit_changes_nothing():
    layer = Layer("lstm", 2, 5)
    before, state = [p.clone() for p in layer.parameters()], torch.get_rng_state()
    assert audit(layer) == audit(layer)
    assert all(torch.equal(p, b) for p, b in zip(layer.parameters(), before, strict=True))
    assert torch.equal(torch.get_rng_state(), state)


def test_the_summary_is_of_the_worst_matrix():
    layer = Layer("gru", 2, 2, biases={"name": "forget", "value": math.log(9)})
    with torch.no_grad():
        for name, factor in (("U_r", 0.5), ("U_z", 3.0), ("U_n", 1.0)):
            layer.get_parameter(name).copy_(factor * torch.from_numpy(rotation(1.0)))
    assert audit(layer).summary() == pytest.approx(
        {
            "spectral_radius": 3,
            "largest_singular_value": 3,
            "orthogonality_error": 8,
            "timescale_min": 10,
            "timescale_median": 10,
            "timescale_max": 10,
        }
    )


def test_the_timescales_are_of_the_forget_gates_bias():
    layer = Layer("lstm", 1, 4)
    with torch.no_grad():
        layer.b_f.copy_(torch.tensor([0.0, math.log(3), math.log(99), math.log(7)]))
        layer.b_i.fill_(5)
    found = audit(layer).timescales["f"]
    assert (found.min, found.median, found.max) == pytest.approx((2, 6, 100))


def test_chrono_has_the_timescales_that_it_was_asked_for():
    draws = torch.Generator().manual_seed(0)
    layer = Layer("lstm", 1, 400, biases={"name": "chrono", "t_max": 60}, generator=draws)
    found = audit(layer).summary()
    assert 2 <= found["timescale_min"] < 4
    # Five standard errors of the median of 400 draws from a range of 58: 5·58/(2√400)
    assert found["timescale_median"] == pytest.approx(31, abs=7.25)
    assert 58 < found["timescale_max"] <= 60.001


def test_a_cell_without_a_recurrent_matrix_has_no_numbers_of_one():
    cell = Cell(name="independent", state="h", equations="h' = phi(W x + p_u*h + b)", source="test")
    found = audit(Layer(cell, 2, 3))
    assert (found.matrices, found.timescales, found.summary()) == ({}, {}, {})


def test_layers_of_a_stack_are_told_apart():
    found = audit(Stack("elman", 2, 3, layers=2, recurrent="identity"))
    assert list(found.matrices) == ["layers.0.U", "layers.1.U"]


def test_what_is_beyond_floating_point_is_left_out():
    layer = Layer("elman", 2, 3)
    with torch.no_grad():
        layer.U.fill_(math.inf)
    assert audit(layer).summary() == {}
    assert audit(Layer("lstm", 2, 3, biases={"name": "forget", "value": 1e6})).timescales == {}


# --- Pascanu's bound ----------------------------------------------------------------------------


def simple(equations: str) -> Cell:
    return Cell(name="made", state="h", equations=equations, source="test")


BOUNDED = [
    (simple("h' = phi(W x + U h + b)"), "tanh", 1.0),
    (simple("h' = phi(W x + U h + b)"), "sigmoid", 0.25),
    (simple("h' = sigmoid(W x + U h + b)"), "tanh", 0.25),
    (simple("a = W x + U h\n h' = phi(2*a + b)"), "tanh", 2.0),
    (simple("h' = sigmoid(W x + b) + U h"), "tanh", 1.0),
    (simple("h' = -0.5*(U h) + W x"), "tanh", 0.5),
]


@pytest.mark.parametrize(("cell", "phi", "gamma"), BOUNDED)
def test_the_bound_is_one_on_the_jacobian(cell, phi, gamma):
    """Its steepest point, h = 0 and x = 0 without a bias, attains it: ‖∂h'/∂h‖ = γσ there."""
    assert slope_bound(cell, NONLINEARITIES[phi]) == gamma
    layer = Layer(cell, 1, 6, phi, dtype=torch.float64, engine="reference")
    [found] = audit(layer).matrices.values()

    def step(h: torch.Tensor) -> torch.Tensor:
        return layer(torch.zeros(1, 1, 1, dtype=torch.float64), {"h": h[None]})[0][0, 0]

    jacobian = torch.autograd.functional.jacobian(step, torch.zeros(6, dtype=torch.float64))
    assert np.linalg.norm(jacobian.numpy(), 2) == pytest.approx(found.gradient_bound)


@pytest.mark.parametrize(
    "cell",
    [
        CELLS["lstm"],
        CELLS["gru"],
        CELLS["jordan"],
        CELLS["clockwork"],
        CELLS["skip-only-5"],
        simple("h' = 0.5*h + 0.5*phi(W x + U h)"),
        simple("h' = phi(W x + U h) + tanh(U h)"),
        simple("h' = phi(W x + U tanh(h))".replace("U tanh(h)", "U (tanh(h))")),
        simple("h' = phi(W x + U_a h + U_b h)"),
        simple("h' = phi(U h)*(W x)"),
        simple("h' = phi(exp(U h))"),
    ],
    ids=lambda c: c.equations.strip().replace("\n", ";")[:40],
)
def test_a_cell_that_no_one_matrix_bounds_has_no_bound(cell):
    assert slope_bound(cell, NONLINEARITIES["tanh"]) is None


# --- in a run -----------------------------------------------------------------------------------


def test_training_yields_it_once_before_the_first_update():
    config = TrialConfig.from_flat(
        {"task.length": 4, "model.hidden": 3, "train.batch": 2, "train.steps": 2}
    )
    records = list(train(config))
    found = [r for r in records if isinstance(r, Probed) and r.probe == "audit"]
    assert found == [Probed("audit", "init", 0, audit(build_model(config)))]


def test_a_matrix_audit_has_plain_numbers():
    found = audit_matrix(torch.eye(2, dtype=torch.float64), 1.0)
    assert all(type(v) is float for v in vars(found).values())
    assert found == MatrixAudit(1.0, 1.0, 0.0, 1.0)
