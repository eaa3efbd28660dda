"""A cell's symbolic form: edits, counts, typesetting, copies."""

import copy
import dataclasses
import pickle

import pytest
import sympy
import torch
from cases import each
from matplotlib.mathtext import MathTextParser

from study import Cell, Layer
from study.base.errors import UserError
from study.cells import CELLS
from study.language.nonlinearities import ARGUMENT, NONLINEARITIES

LSTM, GRU, ELMAN = CELLS["lstm"], CELLS["gru"], CELLS["elman"]


def layer_of(cell: Cell, inputs: int = 3, hidden: int = 4) -> Layer:
    """Every parameter drawn from N(0, 1/2), by name, so that two cells can share them."""
    layer = Layer(cell, inputs, hidden, dtype=torch.float64, engine="reference")
    with torch.no_grad():
        for name, p in layer.named_parameters():
            g = torch.Generator().manual_seed(sum(map(ord, name)))
            p.copy_(0.5 * torch.randn(p.shape, generator=g, dtype=torch.float64))
    return layer


@pytest.fixture
def x() -> torch.Tensor:
    g = torch.Generator().manual_seed(0)
    return torch.randn(6, 2, 3, generator=g, dtype=torch.float64)


# --- replace ------------------------------------------------------------------------------------


def test_cifg_is_the_lstm_whose_input_gate_is_what_forgetting_leaves(x):
    cifg = LSTM.replace(f="1 - i")
    assert set(cifg.parameters) == set(LSTM.parameters) - {"W_f", "U_f", "b_f"}
    layer = layer_of(cifg)
    h = c = torch.zeros(2, 4, dtype=torch.float64)
    outputs, _ = layer(x)
    for t in range(len(x)):

        def pre(k, t=t, h=h):
            return x[t] @ layer.get_parameter(f"W_{k}").T + (
                h @ layer.get_parameter(f"U_{k}").T + layer.get_parameter(f"b_{k}")
            )

        i = torch.sigmoid(pre("i"))
        c = (1 - i) * c + i * torch.tanh(pre("g"))
        h = torch.sigmoid(pre("o")) * torch.tanh(c)
        torch.testing.assert_close(outputs[t], h)


@pytest.mark.parametrize(
    ("gate", "closed", "bias"),
    [("i", "1", 1e3), ("f", "1", 1e3), ("o", "1", 1e3), ("f", "0*h", -1e3)],
)
def test_a_removed_gate_is_a_saturated_one(gate, closed, bias, x):
    """Greff's NIG, NFG and NOG: the gate at 1 is the gate with an enormous bias."""
    removed, whole = layer_of(LSTM.replace({gate: closed})), layer_of(LSTM)
    assert f"U_{gate}" not in removed.cell.parameters
    with torch.no_grad():
        whole.get_parameter(f"b_{gate}").fill_(bias)
    torch.testing.assert_close(removed(x)[0], whole(x)[0])


def test_a_primed_state_is_replaced_by_its_primed_name(x):
    """NOAF, no output activation: h' = o*c'."""
    plain = LSTM.replace({"h'": "o*c'"})
    assert set(plain.parameters) == set(LSTM.parameters)
    with_tanh, without = layer_of(LSTM)(x[:1])[1], layer_of(plain)(x[:1])[1]
    torch.testing.assert_close(without["c"], with_tanh["c"])
    o = with_tanh["h"] / torch.tanh(with_tanh["c"])
    torch.testing.assert_close(without["h"], o * with_tanh["c"])


def test_edits_by_mapping_and_by_keyword_are_the_same():
    a, b = LSTM.replace({"f": "1 - i"}), LSTM.replace(f="1 - i")
    assert a.equations == b.equations
    both = LSTM.replace({"h'": "o*c'"}, f="1 - i")
    assert "1 - i" in both.equations
    assert "o*c'" in both.equations


def test_replace_leaves_the_original_alone():
    before = LSTM.equations
    assert LSTM.replace(f="1") is not LSTM
    assert LSTM.equations == before
    assert "U_f" in LSTM.parameters


def test_replacing_nothing_or_the_same_is_the_same_cell(x):
    same = LSTM.replace(f="sigmoid(W_f x + U_f h + b_f)")
    assert list(same.parameters) == list(LSTM.parameters)
    assert same.forget_gate == "f"
    assert torch.equal(layer_of(same)(x)[0], layer_of(LSTM)(x)[0])


def test_replace_adds_the_parameters_of_the_new_text():
    peephole = LSTM.replace(
        i="sigmoid(W_i x + U_i h + p_i*c + b_i)", f="sigmoid(W_f x + U_f h + p_f*c + b_f)"
    )
    assert set(peephole.parameters) - set(LSTM.parameters) == {"p_i", "p_f"}
    assert peephole.forget_gate == "f"


def test_replace_names_itself_or_as_told():
    assert "lstm" in LSTM.replace(f="1").name
    named = LSTM.replace(f="1 - i", name="cifg", source="Greff et al. (2017)", summary="Coupled")
    assert (named.name, named.source, named.summary) == ("cifg", "Greff et al. (2017)", "Coupled")
    assert LSTM.replace(f="1").source == LSTM.source


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        ({"c": "1"}, 'did you mean "c\'"'),
        ({"h": "1"}, 'did you mean "h\'"'),
        ({"q": "1"}, "known: i, f, g, o, c', h'"),
        ({"f": "1 -"}, "not an equation"),
        ({"f": "1 - o"}, "no value named 'o'"),
        ({"f": "__import__(h)"}, "no function named '__import__'"),
    ],
)
def test_replace_refuses_in_one_line(edits, said):
    with pytest.raises(UserError) as caught:
        LSTM.replace(edits)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_forget_gate_without_its_bias_is_none():
    assert LSTM.replace(f="1 - i").forget_gate is None
    assert LSTM.replace(f="sigmoid(U_f h)").forget_gate is None
    assert GRU.replace(r="1").forget_gate == "z"


@pytest.mark.parametrize("right", [0, ""])
def test_replacing_by_zero_or_by_nothing_is_not_ignored(right):
    """NFG's opposite, f = 0, is the LSTM without memory; an empty text is a mistake."""
    try:
        edited = LSTM.replace({"f": right})
    except UserError:
        return
    assert "U_f" not in edited.parameters


def test_a_right_hand_side_is_one_line():
    with pytest.raises(UserError):
        LSTM.replace(f="1\nextra = 2")


def test_the_forget_gate_is_dropped_though_a_longer_name_begins_like_its_bias():
    cell = Cell(
        name="fast",
        state="h",
        equations="f = sigmoid(W_f x + b_f)\nh' = f*h + tanh(W x + b_fast)",
        source="test",
        forget_gate="f",
    )
    assert cell.replace(f="1").forget_gate is None


@pytest.mark.parametrize("target", ["(z)", "ｚ"])
def test_replace_works_on_all_that_is_read(target):
    cell = Cell(name="odd", state="h", equations=f"{target} = W x\nh' = z", source="test")
    assert cell.replace({"h'": "z*h"}).parameter_formula() == "H*I"


# --- LaTeX --------------------------------------------------------------------------------------

EXPECTED_LATEX = {
    "elman": [r"h_{t} = \varphi\left(W x_{t} + U h_{t-1} + b\right)"],
    "lstm": [
        r"i_{t} = \sigma\left(W_{i} x_{t} + U_{i} h_{t-1} + b_{i}\right)",
        r"f_{t} = \sigma\left(W_{f} x_{t} + U_{f} h_{t-1} + b_{f}\right)",
        r"g_{t} = \varphi\left(W_{g} x_{t} + U_{g} h_{t-1} + b_{g}\right)",
        r"o_{t} = \sigma\left(W_{o} x_{t} + U_{o} h_{t-1} + b_{o}\right)",
        r"c_{t} = f_{t} \odot c_{t-1} + i_{t} \odot g_{t}",
        r"h_{t} = o_{t} \odot \varphi\left(c_{t}\right)",
    ],
    "gru": [
        r"r_{t} = \sigma\left(W_{r} x_{t} + U_{r} h_{t-1} + b_{r}\right)",
        r"z_{t} = \sigma\left(W_{z} x_{t} + U_{z} h_{t-1} + b_{z}\right)",
        r"n_{t} = \varphi\left(W_{n} x_{t} + U_{n} \left(r_{t} \odot h_{t-1}\right) + b_{n}\right)",
        r"h_{t} = z_{t} \odot h_{t-1} + \left(1 - z_{t}\right) \odot n_{t}",
    ],
    "gru-torch": [
        r"r_{t} = \sigma\left(W_{r} x_{t} + U_{r} h_{t-1} + b_{r}\right)",
        r"z_{t} = \sigma\left(W_{z} x_{t} + U_{z} h_{t-1} + b_{z}\right)",
        r"n_{t} = \varphi\left(W_{n} x_{t} + b_{n} + r_{t} \odot "
        r"\left(U_{n} h_{t-1} + b_{hn}\right)\right)",
        r"h_{t} = z_{t} \odot h_{t-1} + \left(1 - z_{t}\right) \odot n_{t}",
    ],
}


@pytest.mark.parametrize("name", EXPECTED_LATEX)
def test_latex_as_written_by_hand(name):
    assert CELLS[name].latex() == EXPECTED_LATEX[name]


@pytest.mark.parametrize(
    ("right", "expected"),
    [
        ("h - (h - h)", r"h_{t-1} - \left(h_{t-1} - h_{t-1}\right)"),
        ("h - h - h", r"h_{t-1} - h_{t-1} - h_{t-1}"),
        ("h*(h + h)", r"h_{t-1} \odot \left(h_{t-1} + h_{t-1}\right)"),
        ("2*h", r"2\,h_{t-1}"),
        ("h/(1 + h)", r"\frac{h_{t-1}}{1 + h_{t-1}}"),
        ("-(h + h)", r"-\left(h_{t-1} + h_{t-1}\right)"),
        ("(h + h)**2", r"\left(h_{t-1} + h_{t-1}\right)^{2}"),
        ("exp(-h)", r"\exp\left(-h_{t-1}\right)"),
        ("p_h*h", r"p_{h} \odot h_{t-1}"),
        ("relu(h)", r"\operatorname{relu}\left(h_{t-1}\right)"),
        ("U (-h)", r"U \left(-h_{t-1}\right)"),
    ],
)
def test_latex_keeps_the_order_and_the_brackets(right, expected):
    cell = Cell(name="written", state="h", equations=f"h' = {right}", source="test")
    [line] = cell.latex()
    assert line == rf"h_{{t}} = {expected}"
    MathTextParser("path").parse(f"${line}$")


def test_latex_of_greek_and_long_names():
    cell = Cell(
        name="written",
        state="h",
        equations="alpha = W x\ngate_in = U_to_gate_in h\nh' = alpha*gate_in",
        source="t",
    )
    lines = cell.latex()
    assert lines[0].startswith(r"\alpha_{t} = ")
    assert lines[1] == r"\mathrm{gate}_{in,t} = U_{to,gate,in} h_{t-1}"  # TeX takes no a_b_c
    for line in lines:
        MathTextParser("path").parse(f"${line}$")


# --- binding, copies ----------------------------------------------------------------------------


@each("name", CELLS)
def test_binding_leaves_no_phi(name):
    """And adds no name: the a of φ(a) is gone, though the cell may have a gate of that name."""
    cell = CELLS[name]
    for phi in NONLINEARITIES:
        bound = cell.bind(NONLINEARITIES[phi].expression, ARGUMENT)
        for before, after in zip(cell.assignments, bound, strict=True):
            assert after.target == before.target
            assert not after.expression.has(sympy.Function("phi"))
            assert after.expression.free_symbols == before.expression.free_symbols
            if not before.expression.has(sympy.Function("phi")):
                assert after.expression == before.expression


@pytest.mark.parametrize("engine", ["reference", "native"])
def test_no_value_is_taken_for_another_whatever_its_name(engine, x):
    """φ(a) = a σ(a) of a gate a, of what has a in it and of φ(a); names that engines use inside."""
    names = ["a", "value_1", "column_0", "old_0", "r", "REAL", "double", "t_1", "I", "E"]
    gates = [f"{name} = W_{k} x" for k, name in enumerate(names)]
    terms = " + ".join(f"phi(phi({name}) + {name}*h)" for name in names)
    cell = Cell(
        name="captured",
        state="h",
        equations="\n".join([*gates, f"h' = {terms} + U (phi(a*h))"]),
        source="test",
    )
    layer = Layer(cell, 3, 4, phi="silu", dtype=torch.float64, engine=engine)
    silu, h = torch.nn.functional.silu, torch.zeros(2, 4, dtype=torch.float64)
    outputs, _ = layer(x)
    for t in range(len(x)):
        values = [x[t] @ layer.get_parameter(f"W_{k}").T for k in range(len(names))]
        h = sum(silu(silu(v) + v * h) for v in values) + silu(values[0] * h) @ layer.U.T
        torch.testing.assert_close(outputs[t], h)


def test_a_cell_survives_pickling_and_copying():
    for name in CELLS:
        cell = CELLS[name]
        again = pickle.loads(pickle.dumps(cell))  # noqa: S301
        for given in (f.name for f in dataclasses.fields(Cell) if f.init):
            assert getattr(again, given) == getattr(cell, given), (name, given)
        assert again.states == cell.states, name
        assert dict(again.parameters) == dict(cell.parameters), name
        assert copy.deepcopy(cell) is cell


def test_a_cell_cannot_be_changed():
    with pytest.raises(AttributeError):
        LSTM.equations = "h' = h"
    with pytest.raises(TypeError):
        LSTM.parameters["W_q"] = None
