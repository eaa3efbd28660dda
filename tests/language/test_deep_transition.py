"""A deep transition as an edit: of which cells, its parameters, names, forms and errors."""

import copy
import pickle

import pytest
import torch
from cases import each
from matplotlib.mathtext import MathTextParser
from passes import Case, assert_agree
from sampling import fixed_vectors

from study import Cell, Layer
from study.base.errors import UserError
from study.cells import CELLS
from study.initializers.gates import keeper
from study.language.deep_transition import MOST_LAYERS, deep_transition
from study.language.forms import Orthogonal, Shared, SlowerOnly
from study.language.nonlinearities import NONLINEARITIES
from study.language.notation import EquationError
from study.probes.audit import audit, slope_bound
from study.trial.regularizers import REGULARIZERS

# No matrix of theirs reads a state of the step before, which their sources say in words.
WITHOUT = {"indrnn", "mingru", "minlstm", "br", "unicornn", "lru", "trnn", "tgru", "tlstm"}
# How many states matrices read, where it is not one.
SEVERAL = {"cornn": 2, "lstm-wm": 2, "lstm-fgr": 4}
DEEP = [name for name in CELLS if name not in WITHOUT]


def made(equations: str, state: str = "h", **more: object) -> Cell:
    return Cell(name="made", state=state, equations=equations, source="these tests", **more)


TWO_READ = made(
    """
    g = sigmoid(W_g x + U_g h + U_c c + b_g)
    c' = g*c + (1 - g)*phi(W_n x + U_n (c*h) + b_n)
    h' = g*phi(c') + 0.1*h
    """,
    "h c",
)

# --- the whole catalogue -------------------------------------------------------------------------


@each("name", CELLS)
def test_every_cell_has_one_or_says_why_not(name):
    cell = CELLS[name]
    assert deep_transition(cell, 0) is cell
    if name in WITHOUT:
        with pytest.raises(UserError, match=f"'{name}'.*no matrix reads its state") as told:
            deep_transition(cell, 1)
        assert "\n" not in str(told.value)
        return
    for depth in (1, 2):
        deep = deep_transition(cell, depth)
        assert deep is deep_transition(cell, depth)
        assert deep.name == f"{name} deep-{depth}"
        assert deep.states == cell.states
        assert deep.roles == cell.roles
        assert deep.starts == cell.starts
        assert deep.uses_phi
        assert set(cell.parameters) < set(deep.parameters)
        assert all(deep.parameters[n] == p for n, p in cell.parameters.items())
        assert deep.source.startswith(cell.source)
        assert "Pascanu" in deep.source
        assert cell.note in deep.note


@each("name", DEEP)
@each("depth", [1, MOST_LAYERS])
def test_a_layer_adds_its_matrix_and_its_bias(name, depth):
    cell, deep = CELLS[name], deep_transition(CELLS[name], depth)
    layers = depth * SEVERAL.get(name, 1)
    matrix = {"clockwork": 36 * 4, "orthogonal-rnn": 16 * 15 // 2}.get(name, 16 * 16)
    added = deep.parameter_count(3, 16) - cell.parameter_count(3, 16)
    assert added == layers * (matrix + 16)
    if name != "orthogonal-rnn":  # torch keeps a whole matrix of that form
        trained = sum(p.numel() for p in Layer(deep, 3, 16).parameters())
        assert trained == deep.parameter_count(3, 16)


# --- what else is done with a cell ---------------------------------------------------------------


@each("name", DEEP)
def test_the_audit_claims_no_bound_and_the_same_timescales(name):
    deep = deep_transition(CELLS[name], 1)
    assert slope_bound(deep, NONLINEARITIES["tanh"]) is None
    assert keeper(deep) == keeper(CELLS[name])
    found = audit(Layer(deep, 2, 16)).matrices
    assert "U_deep1" in found or "U_h_deep1" in found or "U_y_deep1" in found
    assert all(matrix.gradient_bound is None for matrix in found.values())


def test_a_bound_by_the_one_matrix_would_be_wrong():
    """γσ(U) = 1 of an Elman cell with U = I; with U_deep1 = 3I before it a step back multiplies by 3."""
    layer = Layer(deep_transition(CELLS["elman"], 1), 1, 4, "identity", engine="reference")
    with torch.no_grad():
        layer.U.copy_(torch.eye(4))
        layer.U_deep1.copy_(3 * torch.eye(4))
    h = torch.ones(1, 4, requires_grad=True)
    layer(torch.zeros(1, 1, 1), {"h": h})[0].sum().backward()
    assert torch.equal(h.grad, torch.full((1, 4), 3.0))


def test_biases_of_gates_are_set_and_those_of_the_layers_are_zero():
    deep = deep_transition(CELLS["lstm"], 2)
    forget = Layer(deep, 2, 5, biases={"name": "forget", "value": 2.5})
    chrono = Layer(deep, 2, 5, biases={"name": "chrono", "t_max": 60})
    assert (forget.b_f == 2.5).all()
    assert ((chrono.b_f >= 0) & (chrono.b_f <= 4.08)).all()  # log 59
    assert torch.equal(chrono.b_i, -chrono.b_f)
    for layer in (forget, chrono):
        assert not any(getattr(layer, f"b_{name}").any() for name in ("deep1", "deep2", "g"))
    assert Layer(deep, 2, 5, biases="uniform").b_deep1.all()


def test_an_initializer_for_the_one_matrix_is_refused():
    with pytest.raises(UserError, match=r"elman deep-1 has 2 \(U_deep1, U\)"):
        Layer(deep_transition(CELLS["elman"], 1), 2, 5, recurrent="identity")


def test_pascanus_regularizer_takes_it():
    deep = deep_transition(CELLS["elman"], 1)
    assert REGULARIZERS.build("pascanu").refusal(deep) is None


def test_it_is_one_object_that_copies_and_pickles_as_cells_do():
    deep = deep_transition(CELLS["gru"], 3)
    assert copy.deepcopy(deep) is deep
    again = pickle.loads(pickle.dumps(deep))  # noqa: S301
    assert (again.name, again.equations) == (deep.name, deep.equations)
    assert deep_transition(CELLS["gru"], 2) is not deep
    assert deep_transition(CELLS["gru-torch"], 3) is not deep


def test_latex():
    deep = deep_transition(TWO_READ, 1)
    assert deep.latex()[:2] == [
        r"h_{deep1,t} = \varphi\left(U_{h,deep1} h_{t-1} + b_{h,deep1}\right)",
        r"c_{deep1,t} = \varphi\left(U_{c,deep1} c_{t-1} + b_{c,deep1}\right)",
    ]
    assert r"U_{n} \left(c_{deep1,t} \odot h_{deep1,t}\right)" in deep.latex()[3]
    earlier = deep_transition(CELLS["skip-5"], 1).latex()
    assert earlier[1] == r"h_{deep1,lag5,t} = \varphi\left(U_{deep1} h_{t-5} + b_{deep1}\right)"


@each("name", DEEP)
def test_latex_is_typeset(name):
    parser = MathTextParser("path")
    for line in deep_transition(CELLS[name], 2).latex():
        parser.parse(f"${line}$")


# --- constrained matrices ------------------------------------------------------------------------


def test_modules_of_a_clockwork_still_hear_slower_ones_alone():
    deep = deep_transition(CELLS["clockwork"], 2)
    assert deep.forms["U_deep1"] == deep.forms["U_deep2"] == deep.forms["U"] == SlowerOnly(8)
    g = torch.Generator().manual_seed(0)
    layer = Layer(deep, 2, 16, dtype=torch.float64, generator=g, engine="reference")
    h = torch.randn(1, 16, generator=g, dtype=torch.float64).requires_grad_()
    start = {**layer.initial_state(h[:, None, :2]), "h": h}
    outputs, _ = layer(torch.randn(3, 1, 2, generator=g, dtype=torch.float64), start)
    for unit in range(16):
        [reached] = torch.autograd.grad(outputs[..., unit].sum(), h, retain_graph=True)
        faster = 2 * (unit // 2)  # the units of faster modules, of two units each
        assert not reached[0, :faster].any()
        assert reached[0, faster:].all()


def test_layers_of_an_orthogonal_matrix_are_orthogonal():
    deep = deep_transition(CELLS["orthogonal-rnn"], 1)
    assert deep.forms["U_deep1"] == Orthogonal()
    layer = Layer(deep, 2, 6, dtype=torch.float64)
    error = layer.U_deep1.T @ layer.U_deep1 - torch.eye(6, dtype=torch.float64)
    assert error.norm() < 1e-12


@pytest.mark.parametrize("name", ["antisymmetric", "gated-antisymmetric"])
def test_products_of_antisymmetric_matrices_are_not_and_the_cell_says_so(name):
    deep = deep_transition(CELLS[name], 1)
    assert "U_deep1" not in deep.forms
    assert deep.forms["U"] == CELLS[name].forms["U"]
    assert deep.note.endswith("The layers before U are not of its form.")


def test_matrices_of_several_forms_have_free_layers():
    cell = made("h' = phi(W x + U h + U_b h + p*h + b)", forms={"U": SlowerOnly(2), "p": Shared()})
    deep = deep_transition(cell, 1)
    assert set(deep.forms) == {"U", "p"}
    assert deep.note == "The layers before U are not of its form."
    assert Layer(deep, 2, 4).parameter_count() == 12 + 16 + 1 + 4 * 2 + 4 + 16 + 4


@pytest.mark.parametrize("form", [Orthogonal(), SlowerOnly(3)])
def test_products_of_closed_forms_are_of_the_form(form):
    assert form.is_closed
    g = torch.Generator().manual_seed(0)
    cell = made("h' = phi(U_a h + U_b h + W x)", forms={"U_a": form, "U_b": form})
    layer = Layer(cell, 1, 6, dtype=torch.float64, generator=g)
    product = layer.U_a.detach() @ layer.U_b.detach()
    kept = torch.nn.Module()
    form.attach(kept, "U", product.clone())
    assert torch.allclose(kept.U, product)


# --- errors and names ----------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [-1, 9, 1.0, "2", None, True])
def test_a_depth_is_a_whole_number_up_to_eight(depth):
    deep_transition(CELLS["elman"], 1)  # True == 1 must not find it
    with pytest.raises(UserError, match=r"0 to 8 .*whole number"):
        deep_transition(CELLS["elman"], depth)


@pytest.mark.parametrize(
    "equations",
    [
        "r = sigmoid(W_r x + b_r)\n v = r*h\n h' = phi(W x + U v + b)",
        "r = sigmoid(W_r x + U_r h + p_r*h + b_r)\n h' = phi(W x + U (r*h) + b)",
        "a = tanh(h[t-2])\n v = 1 - a\n h' = phi(W x + U_a h + U (v*v))",
    ],
)
def test_a_state_that_is_hidden_from_a_matrix(equations):
    with pytest.raises(UserError, match=r"has h hidden from U in [vr]; .*write in the brackets"):
        deep_transition(made(equations), 1)


def test_written_out_it_is_taken():
    inside = made("r = sigmoid(W_r x + b_r)\n h' = phi(W x + U (r*h) + b)")
    assert "U(r * h_deep1)" in deep_transition(inside, 1).equations


def test_what_a_step_makes_is_read_as_it_is():
    deep = deep_transition(CELLS["jordan"], 1)
    assert deep.equations.splitlines() == [
        "y_deep1 = phi(U_deep1 y + b_deep1)",
        "h' = phi(W x + U y_deep1 + b)",
        "y' = phi(U_y h' + b_y)",
    ]


def test_a_matrix_of_a_matrix_is_read_once():
    cell = made("h' = phi(U_b (tanh(U_a h)) + W x) + U_b (U_c (1 - h))*h")
    assert deep_transition(cell, 1).equations.splitlines()[1] == (
        "h' = phi(U_b(tanh(U_a h_deep1)) + W x) + U_b(U_c(1 - h_deep1)) * h"
    )


def test_names_that_the_cell_has_already():
    cell = made("h_deep1 = sigmoid(W x + U_deep1 h + b_deep1)\n h' = h_deep1*phi(W_g x + U h)")
    deep = deep_transition(cell, 2)
    assert set(deep.parameters) - set(cell.parameters) == {
        "U_deep_1",
        "b_deep_1",
        "U_deep_2",
        "b_deep_2",
    }
    assert "h_deep1 = sigmoid(W x + U_deep1 h_deep_2 + b_deep1)" in deep.equations


def test_a_deep_cell_made_deeper_has_the_layers_of_both():
    twice = deep_transition(deep_transition(CELLS["elman"], 1), 1)
    assert twice.name == "elman deep-1 deep-1"
    once = Case(deep_transition(CELLS["elman"], 2))
    other = Case(twice)
    renamed = {"deep_1": "deep1", "deep1": "deep2"}
    other.parameters = {
        n: once.parameters[f"{n[:2]}{renamed[n[2:]]}" if "deep" in n else n]
        for n in twice.parameters
    }
    assert torch.equal(once.run("reference")["outputs"], other.run("reference")["outputs"])


def test_a_skip_of_one_step_is_an_elman_cell():
    skip, plain = (Case(deep_transition(CELLS[n], 2)) for n in ("skip-only-1", "elman"))
    assert_agree(skip, 1e-12)
    assert skip.run("reference").keys() == plain.run("reference").keys()
    for what, value in plain.run("reference").items():
        assert torch.equal(skip.run("reference")[what], value), what


def test_an_edit_of_a_deep_cell_is_one_of_its_equations():
    coupled = deep_transition(CELLS["lstm"], 1).replace(f="1 - i")
    assert {"U_deep1", "b_deep1"} <= set(coupled.parameters)
    assert "U_f" not in coupled.parameters
    with pytest.raises(EquationError):
        deep_transition(CELLS["lstm"], 1).replace(f="U_deep1 x")


def test_fixed_vectors_stay_fixed():
    deep = deep_transition(CELLS["clockwork"], 1)
    assert fixed_vectors(deep, 8).keys() == {"k"}
