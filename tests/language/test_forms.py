"""Parameters that are not free, and equations of vectors alone."""

import copy
import io
import pickle

import pytest
import torch
from matplotlib.mathtext import MathTextParser
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from study import Cell, Layer
from study.cells import CELLS
from study.engines.prelude import operands
from study.language.forms import (
    Antisymmetric,
    HandedDown,
    Orthogonal,
    Periods,
    Shared,
    Signs,
    SlowerOnly,
)
from study.language.notation import EquationError

FORMS = {
    "shared": ("p", Shared()),
    "antisymmetric": ("U", Antisymmetric(0.25)),
    "orthogonal": ("U", Orthogonal()),
    "slower only": ("U", SlowerOnly(3)),
    "periods": ("k", Periods(3)),
    "handed down": ("U", HandedDown()),
    "signs": ("W", Signs(2)),
}


def cell_with(form: str) -> Cell:
    name, value = FORMS[form]
    right = "phi(W x + U h)" if name in "UW" else f"phi(W x + U h)*{name} + b"
    return Cell(name=form, state="h", equations=f"h' = {right}", source="test", forms={name: value})


def layer_of(cell: Cell, hidden: int = 5, seed: int = 0, **more: object) -> Layer:
    g = torch.Generator().manual_seed(seed)
    layer = Layer(cell, 2, hidden, generator=g, **{"dtype": torch.float64} | more)
    layer.engine = "reference"
    return layer


def x_of(dtype: torch.dtype = torch.float64) -> torch.Tensor:
    g = torch.Generator().manual_seed(4)
    return torch.randn(4, 2, 2, generator=g, dtype=torch.float64).to(dtype)


# --- what each form is --------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [1, 5, 6])
def test_a_shared_vector_is_one_number(hidden):
    layer = layer_of(cell_with("shared"), hidden)
    assert layer.p.shape == (hidden,)
    assert layer.p.unique().numel() == 1
    layer(x_of())[0].square().sum().backward()
    [(_, free)] = [(n, p) for n, p in layer.named_parameters() if "p" in n.split(".")]
    assert free.shape == (1,)
    assert free.grad.shape == (1,)


@pytest.mark.parametrize("hidden", [1, 5, 6])
def test_an_antisymmetric_matrix_is_one_less_the_diffusion(hidden):
    u = layer_of(cell_with("antisymmetric"), hidden).U
    torch.testing.assert_close(u + u.T, -0.5 * torch.eye(hidden, dtype=torch.float64))
    assert hidden == 1 or u.triu(1).abs().sum() > 0


@pytest.mark.parametrize("hidden", [1, 5, 6])
@pytest.mark.parametrize("recurrent", ["uniform", "orthogonal"])
def test_an_orthogonal_matrix_is_one_and_starts_where_an_orthogonal_draw_is(hidden, recurrent):
    layer = layer_of(cell_with("orthogonal"), hidden, recurrent=recurrent)
    eye = torch.eye(hidden, dtype=torch.float64)
    torch.testing.assert_close(layer.U.T @ layer.U, eye)
    if recurrent == "orthogonal":
        # The same draws in the same order: W, then U.
        free = layer_of(CELLS["elman"], hidden, recurrent="orthogonal")
        torch.testing.assert_close(layer.U, free.U)


@pytest.mark.parametrize(
    ("hidden", "modules", "expected"),
    [
        (6, 3, ["111111", "111111", "001111", "001111", "000011", "000011"]),
        (5, 3, ["11111", "11111", "00111", "00111", "00001"]),
        (1, 3, ["1"]),
        (2, 8, ["11", "01"]),
        (4, 1, ["1111"] * 4),
    ],
)
def test_a_module_hears_itself_and_slower_ones(hidden, modules, expected):
    cell = Cell(
        name="blocks",
        state="h",
        equations="h' = phi(W x + U h)*k",
        source="test",
        forms={"U": SlowerOnly(modules), "k": Periods(modules)},
    )
    layer = layer_of(cell, hidden)
    rows = ["".join("1" if v else "0" for v in row) for row in layer.U != 0]
    assert rows == expected
    assert sum(map(int, "".join(expected))) == cell.parameter_count(0, hidden)
    # A unit hears those whose period is its own or longer.
    assert torch.equal(layer.U != 0, layer.k[:, None] <= layer.k)
    assert not layer.k.requires_grad
    assert sorted(layer.k.tolist()) == layer.k.tolist()


def test_periods_double_from_module_to_module():
    assert layer_of(cell_with("periods"), 6).k.tolist() == [1, 1, 2, 2, 4, 4]
    assert layer_of(CELLS["clockwork"], 8).k.tolist() == [1, 2, 4, 8, 16, 32, 64, 128]
    assert layer_of(CELLS["clockwork"], 1).k.tolist() == [1]


def test_a_fixed_matrix_is_what_it_says():
    assert layer_of(cell_with("handed down"), 3).U.tolist() == [
        [0.5, 0.5, 0],
        [0, 0.5, 0.5],
        [0, 0, 0.5],
    ]
    assert layer_of(cell_with("signs"), 4).W.tolist() == [[1, 1], [1, 1], [-1, -1], [-1, -1]]
    assert layer_of(cell_with("signs"), 1).W.tolist() == [[1, 1]]


def test_what_is_fixed_is_neither_drawn_nor_trained():
    g = torch.Generator().manual_seed(0)
    layer = Layer("influence", 2, 23, generator=g, recurrent="xavier", inputs="he")
    assert torch.equal(g.get_state(), torch.Generator().manual_seed(0).get_state())
    [theta] = layer.parameters()
    assert theta.tolist() == [0.5]
    assert dict(layer.named_buffers()).keys() == {"U", "W"}


# --- in a module's life -------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [1, 5])
@pytest.mark.parametrize("form", FORMS)
def test_copies_pickles_and_saved_states_compute_the_same(form, hidden):
    layer = layer_of(cell_with(form), hidden)
    nn.init.normal_(next(layer.parameters()), generator=torch.Generator().manual_seed(2))
    expected = layer(x_of())[0]
    assert torch.equal(copy.deepcopy(layer)(x_of())[0], expected)
    saved = io.BytesIO()
    torch.save(layer.state_dict(), saved)
    saved.seek(0)
    other = layer_of(cell_with(form), hidden, seed=9)
    other.load_state_dict(torch.load(saved, weights_only=True))
    assert torch.equal(other(x_of())[0], expected)


@pytest.mark.parametrize("form", FORMS)
def test_a_copy_learns_by_itself(form):
    layer = layer_of(cell_with(form))
    twin = copy.deepcopy(layer)
    with torch.no_grad():
        for p in twin.parameters():
            p.add_(0.1)
    assert not torch.equal(layer(x_of())[0], twin(x_of())[0])


@pytest.mark.parametrize("form", FORMS)
def test_precision_is_converted_and_what_is_fixed_with_it(form):
    single = layer_of(cell_with(form), dtype=torch.float32)
    name, _ = FORMS[form]
    assert getattr(single, name).dtype == torch.float32
    double = copy.deepcopy(single).double()
    assert getattr(double, name).dtype == torch.float64
    outputs = double(x_of())[0]
    torch.testing.assert_close(outputs.float(), single(x_of(torch.float32))[0])
    assert getattr(double.float(), name).dtype == torch.float32


@pytest.mark.parametrize("form", FORMS)
def test_a_cell_with_a_form_is_typeset_and_survives_pickling(form):
    cell = cell_with(form)
    name, value = FORMS[form]
    again = pickle.loads(pickle.dumps(cell))  # noqa: S301
    assert dict(again.parameters) == dict(cell.parameters)
    assert again.parameters[name].form == value
    assert again.latex() == cell.latex()
    assert len(cell.latex()) == 2
    assert cell.latex()[1].startswith(name)
    assert "NAME" not in "".join([*cell.latex(), *cell.conditions()])
    for line in cell.latex():
        MathTextParser("path").parse(f"${line}$")


# --- edits --------------------------------------------------------------------------------------


def test_replacing_keeps_forms_starts_and_gates_of_what_is_left():
    fast = CELLS["fastgrnn"]
    without = fast.replace(m="1")
    assert set(without.forms) == {"p_nu"}
    assert dict(without.starts) == {"p_nu": fast.starts["p_nu"]}
    assert without.forget_gate == "z"
    assert without.parameters["p_nu"].form == Shared()
    assert fast.replace(z="0.5").forget_gate is None
    clock = CELLS["clockwork"].replace({"h'": "u*phi(W x + U h) + (1 - u)*h"})
    assert dict(clock.forms) == dict(CELLS["clockwork"].forms)
    assert "U" not in CELLS["clockwork"].replace({"h'": "u*phi(W x) + (1 - u)*h"}).forms
    assert CELLS["mut1"].replace(z="sigmoid(U_xz e + U_z h + b_z)").update_gate == "z"
    again = pickle.loads(pickle.dumps(without))  # noqa: S301
    assert (again.forms, again.starts, again.name) == (without.forms, without.starts, without.name)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"forms": {"U_q": Orthogonal()}}, "no parameter 'U_q' to be of a form"),
        ({"forms": {"z": Shared()}}, "no parameter 'z' to be of a form"),
        ({"starts": {"p_q": 1.0}}, "no vector 'p_q' to start somewhere"),
        ({"starts": {"b": 1.0}}, "no vector 'b' to start somewhere"),
        ({"starts": {"k": 1.0}}, "no vector 'k' to start somewhere"),
        ({"forms": {}}, "does not say what its fixed k is"),
        ({"update_gate": "q"}, "no gate 'q' to be its update gate"),
        ({"input_gate": "z"}, "no bias b_z for its input gate"),
    ],
)
def test_forms_starts_and_gates_of_what_is_not_there(more, said):
    with pytest.raises(EquationError) as caught:
        Cell(
            name="written",
            state="h",
            equations="z = p*h\nh' = phi(W x + U h + b)*k + z",
            source="test",
            **{"forms": {"k": Periods(2)}} | more,
        )
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


# --- equations of vectors alone -----------------------------------------------------------------

PRELUDE = Cell(
    name="prelude",
    state="h",
    equations="""
        a = sigmoid(p_a)
        i = 1
        d = a*exp(-exp(p_b)) + b_d
        g = a*h
        h' = d*g + (1 - a)*phi(W x) + i
    """,
    source="test",
    forms={"p_b": Shared()},
)


def test_what_depends_on_vectors_alone_stands_before_the_sequence():
    assert [a.target for a in PRELUDE.prelude] == ["a", "d"]
    assert [a.target for a in PRELUDE.assignments] == ["i", "g", "hʹ"]
    assert list(PRELUDE.operands) == ["W", "a", "d"]
    assert list(PRELUDE.parameters) == ["p_a", "p_b", "b_d", "W"]


def test_a_new_state_a_nonlinearity_and_a_product_are_no_prelude():
    cell = Cell(
        name="none",
        state="h c",
        equations="a = phi(p)\nd = U_a (p*p)\nc' = exp(p)\nh' = a*d + c' + W x",
        source="test",
    )
    assert cell.prelude == ()


def test_its_values_and_gradients_are_those_of_the_formula():
    layer, x = layer_of(PRELUDE), x_of()
    weight = torch.randn(4, 2, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    p_a, p_b, b_d = layer.p_a, layer.p_b, layer.b_d
    a = 1 / (1 + torch.exp(-p_a))
    d = a * torch.exp(-torch.exp(p_b)) + b_d
    h, outputs = torch.zeros(2, 5, dtype=torch.float64), []
    for at in x:
        h = d * a * h + (1 - a) * torch.tanh(at @ layer.W.T) + 1
        outputs.append(h)
    expected = torch.stack(outputs)
    leaves = list(layer.parameters())
    assert len(leaves) == 4
    theirs = torch.autograd.grad((expected * weight).sum(), leaves)
    found = layer(x)[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)
    for ours, exact in zip(
        torch.autograd.grad((found * weight).sum(), leaves), theirs, strict=True
    ):
        torch.testing.assert_close(ours, exact, rtol=0, atol=1e-13)


def test_it_is_evaluated_once_a_pass():
    class Exponentials(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            self.count += function is torch.ops.aten.exp.default
            return function(*args, **(kwargs or {}))

    layer = layer_of(PRELUDE)
    x = torch.zeros(30, 2, 2, dtype=torch.float64)
    with Exponentials() as seen:
        layer(x)
    assert seen.count == 2  # exp(-exp(p_b))


def test_operands_have_nothing_that_no_step_uses():
    values = {n: torch.ones(5) for n in ("p_a", "p_b", "b_d")} | {"W": torch.ones(5, 2)}
    assert list(operands(PRELUDE, values)) == ["W", "a", "d"]


def test_what_is_the_same_at_every_step_is_typeset_without_one():
    assert PRELUDE.latex()[:3] == [
        r"a = \sigma\left(p_{a}\right)",
        r"i_{t} = 1",
        r"d = a \odot \exp\left(-\exp\left(p_{b}\right)\right) + b_{d}",
    ]
    assert PRELUDE.latex()[3] == r"g_{t} = a \odot h_{t-1}"


def test_edits_move_a_line_in_and_out_of_it():
    assert [a.target for a in PRELUDE.replace(g="a*a").prelude] == ["a", "d", "g"]
    assert [a.target for a in PRELUDE.replace(a="sigmoid(p_a*h)").prelude] == []
