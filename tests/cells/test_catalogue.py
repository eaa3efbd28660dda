"""Every cell of the catalogue against its source: its step, its number of parameters, its name."""

import pytest
import sympy
import torch
from cases import each
from reconciliation import READINGS, assert_same, drawn_layer
from witness import WITNESSES

from study import Layer
from study.base.errors import UserError
from study.cells import CELLS

IN, H = sympy.symbols("I H")


@each("zeros", [False, True], ids=["random start", "from zeros"])
@each("name", CELLS)
def test_equals_the_step_written_from_its_source(name, zeros):
    """Outputs, last states and the gradient of every parameter, of the input and of the start."""
    assert_same(name, "reference", zeros=zeros)


@pytest.mark.parametrize("name", ["indrnn", "ligru"])
def test_equals_the_source_that_has_relu(name):
    assert_same(name, "reference", phi="relu")


def test_a_cell_without_a_witness_is_told_what_it_needs(monkeypatch):
    monkeypatch.setitem(CELLS._things, "brand-new", CELLS["elman"])
    with pytest.raises(AssertionError, match="'brand-new' has no witness: write its step in"):
        assert_same("brand-new", "reference")


def test_every_witness_and_every_reading_has_its_cell():
    assert set(READINGS) <= set(CELLS)
    assert {READINGS[n].witness or n if n in READINGS else n for n in CELLS} == set(WITNESSES)


# --- parameters ---------------------------------------------------------------------------------


def degrees_of_freedom(layer: Layer, name: str) -> int:
    """How many directions the full value can move in: the rank of ∂value/∂(trained numbers)."""
    trained = [p for n, p in layer.named_parameters() if name in n.split(".")]
    if not trained:
        return 0
    value = getattr(layer, name).flatten()
    rows = [torch.autograd.grad(v, trained, retain_graph=True, allow_unused=True) for v in value]
    jacobian = torch.stack([torch.cat([g.flatten() for g in row]) for row in rows])
    return int(torch.linalg.matrix_rank(jacobian))


@each("name", CELLS)
@each(("inputs", "hidden"), [(1, 1), (3, 5), (2, 16)])
def test_the_count_is_that_of_the_numbers_that_can_move(name, inputs, hidden):
    cell = CELLS[name]
    layer = drawn_layer(name, (inputs, hidden), "tanh", torch.Generator().manual_seed(1))
    free = [n for n, p in cell.parameters.items() if p.form is None]
    moving = sum(getattr(layer, n).numel() for n in free)
    moving += sum(degrees_of_freedom(layer, n) for n in cell.parameters if n not in free)
    assert cell.parameter_count(inputs, hidden) == layer.parameter_count() == moving
    if name != "clockwork" or hidden % 8 == 0:  # its formula is for modules of equal size
        formula = sympy.sympify(cell.parameter_formula(), locals={"I": IN, "H": H})
        assert formula.subs({IN: inputs, H: hidden}) == moving


@each("name", CELLS)
def test_what_is_counted_is_what_an_optimizer_gets(name):
    """torch's orthogonal parametrization moves all of its H² numbers, of which H(H-1)/2 act."""
    layer = Layer(name, 3, 16)
    idle = 16 * 17 // 2 if name == "orthogonal-rnn" else 0
    assert sum(p.numel() for p in layer.parameters()) == layer.parameter_count() + idle


GATE = H * (IN + H + 1)
FROM_THE_SOURCES = {
    "elman": GATE,
    "jordan": GATE + H * (H + 1),
    "output-recurrent": GATE + H * (H + 1),
    "linear": GATE,
    "orthogonal-rnn": H * IN + H * (H - 1) / 2 + H,
    "lt-rnn": GATE,
    "leaky": GATE + H,
    "gated-leaky": 2 * GATE,
    "scrn": 2 * H * IN + 2 * H**2,
    "minimal-rnn": H * IN + 2 * H**2 + 2 * H,
    "fastrnn": GATE + 2,
    "fastgrnn": GATE + H + 2,
    "indrnn": H * IN + 2 * H,
    "skip-5": GATE + H**2,
    "skip-only-5": GATE,
    "clockwork": H * IN + H + H**2 * sympy.Rational(8 * 9 // 2, 8 * 8),
    "antisymmetric": H * IN + H * (H - 1) / 2 + H,
    "residual": H * IN + H * H + H,
    "gated-antisymmetric": 2 * H * IN + H * (H - 1) / 2 + 2 * H,
    "cornn": GATE + H**2,
    "unicornn": H * IN + 3 * H,
    "lem": 4 * GATE,
    "lru": 3 * H * IN + 2 * H**2 + 3 * H,  # D is a matrix here
    "taugru": 4 * GATE,
    "lstm": 4 * GATE,
    "lstm-1997": 3 * GATE,
    "lstm-peephole": 4 * GATE + 3 * H,
    "lstm-np": 4 * GATE,
    "lstm-nig": 3 * GATE + 2 * H,
    "lstm-nfg": 3 * GATE + 2 * H,
    "lstm-nog": 3 * GATE + 2 * H,
    "lstm-cifg": 3 * GATE + 2 * H,
    "lstm-niaf": 4 * GATE + 3 * H,
    "lstm-noaf": 4 * GATE + 3 * H,
    "lstm-fgr": 4 * GATE + 3 * H + 9 * H**2,
    "lstm-f": 3 * GATE,
    "lstm-i": 3 * GATE,
    "lstm-o": 3 * GATE,
    "lstm-b": 4 * GATE,
    "lstm-jozefowicz": 4 * GATE,
    "lstm-relevance": 5 * GATE,
    "lstm-wm": 4 * GATE + 3 * H**2,
    "janet": 2 * GATE,
    "slstm": 4 * GATE,
    "mlstm": 4 * GATE + H * IN + H**2,
    "minlstm": 3 * H * (IN + 1),
    "nas": 8 * H * (IN + H),
    "gru": 3 * GATE,
    "gru-torch": 3 * GATE + H,
    "mgu": 2 * GATE,
    "mingru": 2 * H * (IN + 1),
    "ran": 2 * GATE + H * IN,
    "mut1": H * IN + 4 * H**2 + 3 * H,
    "mut2": H * IN + 5 * H**2 + 3 * H,
    "mut3": H * IN + 6 * H**2 + 3 * H,
    "ugrnn": 2 * GATE,
    "ligru": 2 * GATE,
    "cfn": 2 * GATE + H * IN,
    "influence": 1,
    "trnn": 2 * H * IN + H,
    "tgru": 6 * H * IN + 3 * H,
    "tlstm": 6 * H * IN + 3 * H,
}


@each("name", FROM_THE_SOURCES)
def test_the_formula_is_the_sources(name):
    assert sympy.expand(CELLS[name].parameter_count(IN, H) - FROM_THE_SOURCES[name]) == 0


# --- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "k"), [("skip", 1), ("skip", 7), ("skip-only", 64)])
def test_a_family_has_a_cell_for_every_number(family, k):
    name = f"{family}-{k}"
    assert name in CELLS
    cell = CELLS[name]
    assert cell.name == name
    assert len(cell.states) == k
    assert CELLS[name] is cell
    assert name not in list(CELLS)  # asking for one does not lengthen the list
    assert Layer(name, 2, 3, engine="reference")(torch.zeros(2, 1, 2))[0].shape == (2, 1, 3)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("skip-0", "skip-k goes from k = 1 to 64 (got skip-0)"),
        ("skip-65", "skip-k goes from k = 1 to 64 (got skip-65)"),
        ("skip-07", "skip-k goes from k = 1 to 64 (got skip-07)"),
        ("skip-only-0", "skip-only-k goes from k = 1 to 64 (got skip-only-0)"),
        ("skip-999999999", "skip-k goes from k = 1 to 64"),
        ("skip-k", "no cell named 'skip-k'; did you mean 'skip-5'?"),
        ("skip-", "no cell named 'skip-'"),
        ("skip--1", "no cell named 'skip--1'"),
        ("skip-1.5", "no cell named 'skip-1.5'"),
        ("skip-5\n", "no cell named"),
        ("skip-9999999999", "no cell named"),
        ("lstm-5", "no cell named 'lstm-5'"),
        ("5", "no cell named '5'"),
        (5, "no cell named '5'"),
        (None, "no cell named 'None'"),
    ],
)
def test_names_that_are_none(name, said):
    assert name not in CELLS
    with pytest.raises(UserError) as caught:
        CELLS[name]
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_cells_cannot_have_one_name():
    with pytest.raises(ValueError, match="'lstm' is registered twice"):
        CELLS.define(CELLS["lstm"])
