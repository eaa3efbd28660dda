"""The equation language: what it reads, and what it refuses in one line."""

import contextlib
import signal

import pytest
from cases import each
from hypothesis import example, given, settings
from hypothesis import strategies as st

from study.base.errors import UserError
from study.cells import CELLS
from study.language.cell import Cell
from study.language.expressions import function_of
from study.language.notation import PRIME, EquationError, is_matrix, is_vector, parse


def cell(equations: str, state: str = "h", **more: object) -> Cell:
    return Cell(name="written", state=state, equations=equations, source="test", **more)


def refusal(equations: str, state: str = "h") -> str:
    with pytest.raises(EquationError) as caught:
        cell(equations, state)
    message = str(caught.value)
    assert "\n" not in message
    return message


@contextlib.contextmanager
def seconds(limit: float):
    """TimeoutError in whatever runs longer."""

    def stop(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def one_line():
    """An EquationError of one line may come out of this, and nothing else."""
    said = "fine"
    try:
        yield
    except EquationError as error:
        said = str(error)
    assert len(said.splitlines()) == 1


# --- what is read -------------------------------------------------------------------------------


def test_states_targets_and_parameters_in_the_order_written():
    c = cell(
        """
        # a comment line and empty lines are skipped

        z = sigmoid(W_z x + U_z h + p_z*c + b_z)
        c' = z*c + phi(U_c (z*h))
        h' = tanh(c')
        """,
        state="h c",
    )
    assert c.states == ("h", "c")
    assert c.output == "h"
    assert [a.target.replace(PRIME, "'") for a in c.assignments] == ["z", "c'", "h'"]
    assert list(c.parameters) == ["W_z", "U_z", "p_z", "b_z", "U_c"]
    assert {n: p.columns for n, p in c.parameters.items()} == {
        "W_z": "I",
        "U_z": "H",
        "p_z": None,
        "b_z": None,
        "U_c": "H",
    }
    assert c.recurrent_matrices == ("U_z", "U_c")
    assert c.uses_phi


@pytest.mark.parametrize(
    "spelling", ["W x + U h", "W   x+U\th", "W (x) + U (h)", "W(x) + U(h)", "(W x) + (U h)"]
)
def test_spellings_of_an_application(spelling):
    c = cell(f"h' = tanh({spelling})")
    assert c.parameter_formula() == "H*(H + I)"
    assert str(c.assignments[0].expression) == "tanh(U[h] + W[x])"


def test_an_application_binds_closer_than_any_operator():
    a = cell("h' = -U h**2 * W x").assignments[0].expression
    b = cell("h' = -((U (h))**2) * (W (x))").assignments[0].expression
    assert a == b


@pytest.mark.parametrize("name", ["W", "U", "W_i", "U_hz", "W_1"])
def test_matrix_names(name):
    assert is_matrix(name)
    assert not is_vector(name)


@pytest.mark.parametrize("name", ["b", "p", "b_i", "p_hz"])
def test_vector_names(name):
    assert is_vector(name)
    assert not is_matrix(name)


@pytest.mark.parametrize("name", ["w", "Wi", "W_", "V", "bias", "beta", "pi", "x", "phi", "h"])
def test_other_names(name):
    assert not is_matrix(name)
    assert not is_vector(name)


def test_a_function_of_one_argument():
    expression = function_of("a", "a*sigmoid(a)")
    assert {s.name for s in expression.free_symbols} == {"a"}
    for bad in ("W a", "a + b", "phi(a)", "c", "a.real"):
        with pytest.raises(EquationError):
            function_of("a", bad)


def test_a_function_of_one_argument_knows_no_input():
    with pytest.raises(EquationError):
        function_of("a", "a + x")


# --- what is refused ----------------------------------------------------------------------------

HOSTILE = [
    "__import__('os').system('true')",
    "__import__('os')",
    "().__class__.__bases__[0].__subclasses__()",
    "h.__class__",
    "h.real",
    "h[0]",
    "lambda: h",
    "(lambda h: h)(h)",
    "[h for h in h]",
    "{h: h}",
    "{h}",
    "(h, h)",
    "[h]",
    "(y := h)",
    "'h'",
    "b'h'",
    "f'{h}'",
    "h if h else h",
    "h and h",
    "not h",
    "h < h",
    "h == h",
    "~h",
    "h @ h",
    "h % 2",
    "h // 2",
    "h << 2",
    "h | h",
    "h & h",
    "await h",
    "(yield h)",
    "*h",
    "None",
    "True",
    "...",
    "1j*h",
    "tanh(a=h)",
    "tanh(h, 2)",
    "tanh()",
    "tanh(*h)",
    "tanh(**h)",
    "tanh(h)(h)",
    "(tanh)",
    "print(h)",
    "eval(h)",
    "exec(h)",
    "open(h)",
    "globals(h)",
    "torch(h)",
    "__builtins__",
    "h; import os",
    "h\\",
    "h\0",
    "h = h",
    "= h",
    "",
    "h)",
    "(h",
    "h h",
    "W U h",
    "h**h",
    "h**0.5",
    "h**-1",
    "h**9",
    "2**99999999",
    "9**9**9**9",
    "h**(2**8)",
    "10**(10**10)",
]


@each("right", HOSTILE)
def test_what_is_not_the_language_is_refused(right):
    with seconds(2):
        refusal(f"h' = {right}")


@pytest.mark.parametrize(
    "line",
    [
        "import os",
        "from os import system",
        "del h",
        "h' += h",
        "h': int = h",
        "h' = z = h",
        "h', z = h",
        "[h'] = h",
        "h.a = h",
        "h[0] = h",
        "def f(): pass",
        "class A: pass",
        "h",
        "pass",
        "assert h",
        "raise h",
        "h' == h",
        "h' := h",
        "lambda = h",
        "@h",
    ],
)
def test_what_is_not_an_equation_is_refused(line):
    refusal(f"{line}\nh' = h")


@pytest.mark.parametrize(
    "right",
    [
        "h + " * 4000 + "h",
        "h" * 20_000,
        "(" * 3000 + "h" + ")" * 3000,
        "-" * 5000 + "h",
        "tanh(" * 1500 + "h" + ")" * 1500,
        "9" * 9000,
    ],
    ids=["sum", "name", "brackets", "signs", "calls", "number"],
)
def test_very_long_text_is_refused_at_once(right):
    with seconds(2):
        refusal(f"h' = {right}")


def test_a_sum_of_900_terms_is_refused_or_read():
    with contextlib.suppress(EquationError):
        cell("h' = " + " + ".join(["h"] * 900)).latex()


def test_a_tower_of_powers_in_brackets_is_refused():
    refusal("h' = " + "(" * 7 + "2" + "**8)" * 7)  # 2^(8^7), 2 million bits


def test_nested_tanh_is_read_at_once():
    with seconds(1):
        cell("h' = " + "tanh(" * 12 + "h" + ")" * 12)


@pytest.mark.parametrize(
    "right", ["h/0", "0/0", "log(0)*h", "log(-1)*h", "1e999*h", "1e999*h - 1e999*h", "h/(h - h)"]
)
def test_a_constant_that_is_no_finite_real_number_is_refused(right):
    refusal(f"h' = {right}")


@pytest.mark.parametrize("right", ["U (2)", "U (0*x)", "U (h - h)"])
def test_a_matrix_applied_to_a_number_is_refused(right):
    refusal(f"h' = W x + {right}")


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.text(alphabet="hxWUbp_'ʹ()+-*/ =.,:;[]{}\"\\\n#0189eaicz@~<>!?&|%^", max_size=40))
@example("h' = W x")
def test_any_text_is_read_or_refused_in_one_line(text):
    with one_line():
        cell(text)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.text(max_size=30))
def test_any_unicode_is_read_or_refused_in_one_line(text):
    with one_line():
        parse(f"h' = {text}")


# --- mistakes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("equations", "state", "said"),
    [
        ("h' = sigmod(h)", "h", "did you mean 'sigmoid'?"),
        ("h' = tnah(W x)", "h", "did you mean 'tanh'?"),
        ("h' = ph(W x)", "h", "did you mean 'phi'?"),
        ("gate = W x\nh' = gata*h", "h", "did you mean 'gate'?"),
        ("h' = c'\nc' = h", "h c", 'no value named "c\'"'),
        ("h' = h'", "h", "did you mean 'h'?"),
        ("h' = z*h\nz = W x", "h", "no value named 'z'"),
        ("h = W x", "h", "without its prime"),
        ("h' = h\nh' = h", "h", "twice"),
        ("z = h\nz = h\nh' = z", "h", "twice"),
        ("z' = h\nh' = h", "h", "z' is no state"),
        ("z = h", "h", "no equation for h'"),
        ("h' = W x", "h c", "no equation for c'"),
        ("", "h", "no equation for h'"),
        ("h' = x", "h", "apply a matrix"),
        ("h' = tanh(x)", "h", "apply a matrix"),
        ("h' = W x + x", "h", "apply a matrix"),
        ("h' = U (h + x)", "h", "apply a matrix"),
        ("h' = W x + W h", "h", "both"),
        ("h' = W", "h", "applied to nothing"),
        ("h' = W x + U*h", "h", "applied to nothing"),
        ("h' = U tanh(h)", "h", "in brackets"),
        ("h' = tanh", "h", "tanh needs its argument"),
        ("h' = b(h)", "h", "no function named 'b'"),
        ("hʹ = W x", "h", "write a new state as c'"),
        ("phi = h\nh' = phi", "h", "means something else"),
        ("x = h\nh' = h", "h", "means something else"),
        ("W = h\nh' = h", "h", "means something else"),
        ("b_i = h\nh' = h", "h", "means something else"),
        ("tanh = h\nh' = h", "h", "means something else"),
    ],
)
def test_mistakes_are_told_apart(equations, state, said):
    assert said in refusal(equations, state)


@pytest.mark.parametrize("state", ["", "h h", "x", "phi", "W_a", "b", "h'", "1", "h,c", "tanh"])
def test_states_that_are_none(state):
    refusal("h' = W_a x", state)


def test_messages_are_short_enough_to_read():
    assert len(refusal("h' = " + "h +" * 2000)) < 300


def test_a_forget_gate_needs_its_bias():
    with pytest.raises(EquationError, match="no gate 'q'"):
        cell("h' = W x", forget_gate="q")


def test_a_forget_gate_needs_its_equation():
    with pytest.raises(EquationError):
        cell("h' = W x + b_q", forget_gate="q")


def test_mistakes_are_user_errors():
    assert issubclass(EquationError, UserError)


def test_every_cell_of_the_catalogue_says_where_it_is_from():
    for name in CELLS:
        assert CELLS[name].name == name
        assert CELLS[name].source, name
        assert CELLS[name].summary, name
        assert "\n" not in CELLS[name].summary, name
