"""Every cell over a sequence: against torch, plain loops, finite differences and causality.

Most tests run over the registries, so that a new cell or nonlinearity is tested by being there.
"""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
import references
import torch
from cases import each
from sampling import first_states, pairs, phis, representatives
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call

from study import Cell, Layer, StateGradients
from study.cells import CELLS
from study.language.nonlinearities import NONLINEARITIES
from study.language.notation import TIME

STEPS, BATCH, INPUTS, HIDDEN = 7, 3, 2, 4
EVERY_CELL = list(CELLS)
PAIRS = pairs()
ONCE = [(c, p) for c, p in pairs(every=("elman",)) if c == "elman" or p == "tanh"]
# The bounds that are promised. At these sizes float64 leaves a few 1e-15, float32 a few 1e-7.
PROMISED = {torch.float64: 1e-10, torch.float32: 1e-5}


def make_layer(
    cell: str | Cell,
    phi: str = "tanh",
    inputs: int = INPUTS,
    hidden: int = HIDDEN,
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
) -> Layer:
    """Every trained number, biases included, drawn from N(0, 1/2)."""
    g = torch.Generator().manual_seed(seed)
    layer = Layer(cell, inputs, hidden, phi=phi, generator=g, dtype=dtype, engine="reference")
    with torch.no_grad():
        for p in layer.parameters():
            p.copy_(0.5 * torch.randn(p.shape, generator=g, dtype=torch.float64))
    return layer


def make_input(
    layer: Layer, steps: int = STEPS, batch: int = BATCH, seed: int = 1
) -> tuple[Tensor, dict[str, Tensor]]:
    """x and non-zero initial states, leaves that ask for their gradients, but for a step's index."""
    g = torch.Generator().manual_seed(seed)
    dtype = next(layer.parameters()).dtype

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=g, dtype=torch.float64).to(dtype)

    x = draw(steps, batch, layer.input_size).requires_grad_()
    start = first_states(layer.cell, lambda: draw(batch, layer.hidden_size))
    return x, {s: value.requires_grad_(s != TIME) for s, value in start.items()}


def leaves_of(layer: Layer, x: Tensor, start: dict[str, Tensor]) -> dict[str, Tensor]:
    """All that a loss can be differentiated by."""
    states = {f"initial {s}": v for s, v in start.items() if v.requires_grad}
    return {"x": x, **states, **dict(layer.named_parameters())}


def gradients(loss: Tensor, leaves: dict[str, Tensor]) -> dict[str, Tensor]:
    """Zeros where the loss does not depend on a leaf."""
    found = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
    return dict(zip(leaves, found, strict=True))


def is_read(cell: Cell, state: str) -> bool:
    """Whether a step reads the state's old value; some are only outputs, or read once they are new."""
    rights = " ".join(line.partition("=")[2] for line in cell.equations.splitlines())
    return re.search(rf"\b{state}\b(?!['\[])", rights) is not None


def weighted_sum(outputs: Tensor, last: dict[str, Tensor], seed: int = 2) -> Tensor:
    """A loss that weighs every output and every last state by its own random number."""
    g = torch.Generator().manual_seed(seed)
    values = [outputs, *(last[name] for name in sorted(last))]
    weights = [torch.randn(v.shape, generator=g, dtype=torch.float64).to(v) for v in values]
    return sum((w * v).sum() for w, v in zip(weights, values, strict=True))


def assert_equal(ours: Tensor, theirs: Tensor, what: str) -> None:
    tolerance = PROMISED[ours.dtype]
    torch.testing.assert_close(
        ours, theirs, rtol=tolerance, atol=tolerance, msg=lambda m: f"{what}: {m}"
    )


# --- torch's own layers -------------------------------------------------------------------------


GATES_IN_TORCH = {"lstm": "ifgo", "gru-torch": "rzn", "elman": [""]}
TORCH_LAYERS = [
    ("elman", "tanh", lambda i, h: nn.RNN(i, h, nonlinearity="tanh")),
    ("elman", "relu", lambda i, h: nn.RNN(i, h, nonlinearity="relu")),
    ("lstm", "tanh", lambda i, h: nn.LSTM(i, h)),
    ("gru-torch", "tanh", lambda i, h: nn.GRU(i, h)),
]


def gate(letter: str, kind: str) -> str:
    return f"{kind}_{letter}" if letter else kind


def load_into_torch(layer: Layer, theirs: nn.Module) -> None:
    """torch stacks the gates and adds two biases: the second is 0, but for the GRU's b_hn."""
    gates = GATES_IN_TORCH[layer.cell.name]
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(torch.cat([getattr(layer, gate(k, "W")) for k in gates]))
        theirs.weight_hh_l0.copy_(torch.cat([getattr(layer, gate(k, "U")) for k in gates]))
        theirs.bias_ih_l0.copy_(torch.cat([getattr(layer, gate(k, "b")) for k in gates]))
        theirs.bias_hh_l0.zero_()
        if layer.cell.name == "gru-torch":
            theirs.bias_hh_l0[-layer.hidden_size :].copy_(layer.b_hn)


def gradients_of_torch(layer: Layer, theirs: nn.Module) -> dict[str, Tensor]:
    gates, found = GATES_IN_TORCH[layer.cell.name], {}
    for kind, stacked in (
        ("W", theirs.weight_ih_l0.grad),
        ("U", theirs.weight_hh_l0.grad),
        ("b", theirs.bias_ih_l0.grad),
    ):
        for letter, part in zip(gates, stacked.chunk(len(gates)), strict=True):
            found[gate(letter, kind)] = part
    if layer.cell.name == "gru-torch":
        found["b_hn"] = theirs.bias_hh_l0.grad[-layer.hidden_size :]
    return found


@pytest.mark.parametrize("dtype", PROMISED, ids=str)
@pytest.mark.parametrize(
    ("name", "phi", "make"), TORCH_LAYERS, ids=[f"{c}-{p}" for c, p, _ in TORCH_LAYERS]
)
def test_equals_torch(name, phi, make, dtype):
    layer = make_layer(name, phi, dtype=dtype)
    theirs = make(INPUTS, HIDDEN).to(dtype)
    load_into_torch(layer, theirs)
    x, start = make_input(layer)
    x2 = x.detach().clone().requires_grad_()
    start2 = {s: v.detach().clone().requires_grad_() for s, v in start.items()}

    outputs, last = layer(x, start)
    first = tuple(v[None] for v in start2.values())
    outputs2, last2 = theirs(x2, first if len(first) > 1 else first[0])
    last2 = last2 if isinstance(last2, tuple) else (last2,)
    last2 = {s: v[0] for s, v in zip(start2, last2, strict=True)}
    assert_equal(outputs, outputs2, "outputs")
    for s in start:
        assert_equal(last[s], last2[s], f"last {s}")

    weighted_sum(outputs, last).backward()
    weighted_sum(outputs2, last2).backward()
    expected = gradients_of_torch(layer, theirs)
    assert set(expected) == set(layer.cell.parameters)
    for parameter, gradient in expected.items():
        assert_equal(getattr(layer, parameter).grad, gradient, parameter)
    assert_equal(x.grad, x2.grad, "x")
    for s in start:
        assert_equal(start[s].grad, start2[s].grad, f"initial {s}")


@pytest.mark.parametrize("name", ["elman", "lstm", "gru-torch"])
def test_zeros_are_the_default_state_as_in_torch(name):
    layer = make_layer(name)
    theirs = {"elman": nn.RNN, "lstm": nn.LSTM, "gru-torch": nn.GRU}[name](INPUTS, HIDDEN).double()
    load_into_torch(layer, theirs)
    x, _ = make_input(layer)
    assert_equal(layer(x)[0], theirs(x)[0], "outputs")


# --- plain loops --------------------------------------------------------------------------------


def test_the_loops_are_of_known_cells():
    assert set(references.LOOPS) <= set(CELLS)
    assert set(references.PHIS) <= set(NONLINEARITIES)


LOOPS = [(c, p, torch.float64) for c in references.LOOPS for p in references.PHIS]
LOOPS += [(c, p, torch.float32) for c in references.LOOPS for p in phis(c, every=())]


@each(("name", "phi", "dtype"), LOOPS, ids=str)
def test_equals_the_loop_written_from_the_paper(name, phi, dtype):
    layer = make_layer(name, phi, dtype=dtype)
    # φ = identity makes the GRU's and the LSTM's states grow; small weights keep float32 honest.
    with torch.no_grad():
        for p in layer.parameters():
            p.mul_(0.5)
    x, start = make_input(layer)
    parameters = dict(layer.named_parameters())
    leaves = leaves_of(layer, x, start)

    outputs, last = layer(x, start)
    outputs2, last2 = references.LOOPS[name](parameters, x, start, references.PHIS[phi])
    assert_equal(outputs, outputs2, "outputs")
    for s in start:
        assert_equal(last[s], last2[s], f"last {s}")
    ours = gradients(weighted_sum(outputs, last), leaves)
    theirs = gradients(weighted_sum(outputs2, last2), leaves)
    for what, gradient in theirs.items():
        assert gradient.abs().max() > 0, what
        assert_equal(ours[what], gradient, what)


def test_the_two_grus_differ_where_the_reset_gate_acts():
    cho, torchs = make_layer("gru"), make_layer("gru-torch")
    with torch.no_grad():
        torchs.b_hn.zero_()
        for name, p in cho.named_parameters():
            getattr(torchs, name).copy_(p)
    x, start = make_input(cho)
    assert (cho(x, start)[0] - torchs(x, start)[0]).abs().max() > 1e-3
    with torch.no_grad():  # r = 1 everywhere: the two are one
        for layer in (cho, torchs):
            layer.b_r.fill_(100.0)
    torch.testing.assert_close(cho(x, start)[0], torchs(x, start)[0])


def test_lstm_backward_equals_the_delta_equations():
    layer = make_layer("lstm")
    x, start = make_input(layer, batch=1)
    recorder = StateGradients()
    outputs, _ = layer(x, start, recorder=recorder)
    weights = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(5)).double()
    (outputs * weights).sum().backward()
    expected = references.lstm_backward(
        {name: p.detach().numpy() for name, p in layer.named_parameters()},
        x.detach().numpy()[:, 0],
        start["h"].detach().numpy()[0],
        start["c"].detach().numpy()[0],
        weights.numpy()[:, 0],
    )
    found = {name: p.grad for name, p in layer.named_parameters()}
    found |= {"x": x.grad[:, 0], "h0": start["h"].grad[0], "c0": start["c"].grad[0]}
    found |= {s: recorder[s][:, 0] for s in "hc"}
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name].numpy(), value, rtol=1e-10, atol=1e-10, err_msg=name)


# --- any cell, from its own text ----------------------------------------------------------------


# The elementary functions, from their definitions.
BY_NAME = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "exp": torch.exp,
    "log": torch.log,
    "sin": torch.sin,
    "cos": torch.cos,
    "erf": torch.erf,
    "floor": torch.floor,
    "expm1": torch.expm1,
    "step": lambda a: (a > 0).to(a),
    "softplus": lambda a: torch.logaddexp(a, torch.zeros_like(a)),
    "hardtanh": lambda a: a.clamp(-1, 1),
}


def textbook_step(
    layer: Layer, phi, x: Tensor, past: dict[str, list[Tensor]], t: Tensor | None
) -> dict[str, Tensor]:
    """One step of one sequence by reading the equations as Python: no parser, no sympy.

    ``past`` holds the earlier values of each state, the newest first. A parameter is what the layer
    says it is, fixed or constrained or free.
    """
    names = {"x": x, "phi": phi, "t": t, **BY_NAME}
    for state, values in past.items():
        names[state] = values[0]
        names[f"{state}_ago"] = lambda k, values=values: values[k - 1]
    for name in layer.cell.parameters:
        p = getattr(layer, name)
        names[name] = p if p.dim() == 1 else (lambda value, p=p: p @ value)
    for line in filter(None, map(str.strip, layer.cell.equations.splitlines())):
        code = re.sub(r"(\w+)\[t ?- ?(\d+)\]", r"(\1_ago(\2))", line)
        code = re.sub(r"\b([WU]\w*) +(\w+'?)", r"\1(\2)", code).replace("'", "_new")
        target, _, right = code.partition("=")
        names[target.strip()] = eval(right, {"__builtins__": {}}, names)  # noqa: S307
    return {s: names[f"{s}_new"] for s in past}


@each(("name", "phi"), PAIRS)
def test_equals_its_equations_read_as_python(name, phi):
    layer = make_layer(name, phi)
    x, start = make_input(layer)
    outputs, last = layer(x, start)
    for b in range(BATCH):
        first = {s: v[b] for s, v in start.items()}
        past = {
            state: [v for s, v in first.items() if s == state or s.startswith(f"{state}[t-")]
            for state in layer.cell.variables
        }
        for t in range(STEPS):
            now = first[TIME] + t if TIME in first else None
            new = textbook_step(layer, references.PHIS[phi], x[t, b], past, now)
            assert_equal(outputs[t, b], new[layer.cell.output], f"output {t}")
            past = {state: [new[state], *values[:-1]] for state, values in past.items()}
        expected = {
            state if k == 1 else f"{state}[t-{k}]": value
            for state, values in past.items()
            for k, value in enumerate(values, start=1)
        }
        if TIME in first:
            expected[TIME] = first[TIME] + STEPS
        assert set(expected) == set(last)
        for s, value in expected.items():
            assert_equal(last[s][b], value, f"last {s}")


# --- derivatives --------------------------------------------------------------------------------


def as_function(layer: Layer, leaves: dict[str, Tensor], start: dict[str, Tensor]):
    """The layer as a function of its leaves' values, for torch.autograd's checks."""
    trained = [name for name, _ in layer.named_parameters()]

    def f(*values: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(leaves, values, strict=True))
        first = {s: given.get(f"initial {s}", value) for s, value in start.items()}
        parameters = {name: given[name] for name in trained}
        outputs, last = functional_call(layer, parameters, (given["x"], first))
        return outputs, *last.values()

    return f


@each(("name", "phi"), ONCE)
def test_gradcheck(name, phi):
    layer = make_layer(name, phi, inputs=2, hidden=3)
    x, start = make_input(layer, steps=3, batch=2)
    leaves = leaves_of(layer, x, start)
    assert gradcheck(as_function(layer, leaves, start), tuple(leaves.values()))


@pytest.mark.parametrize(("name", "phi"), [(c, p) for c, p in ONCE if c in representatives()])
def test_gradgradcheck(name, phi):
    layer = make_layer(name, phi, inputs=1, hidden=2)
    x, start = make_input(layer, steps=2, batch=1)
    leaves = leaves_of(layer, x, start)
    assert gradgradcheck(as_function(layer, leaves, start), tuple(leaves.values()), fast_mode=True)


# --- structure ----------------------------------------------------------------------------------


@each("name", EVERY_CELL)
def test_shapes_the_same_bytes_again_and_a_state_that_is_not_written_to(name):
    layer = make_layer(name, dtype=torch.float32)
    x, start = make_input(layer)
    start = {s: v.detach() for s, v in start.items()}
    before = {s: v.clone() for s, v in start.items()}
    outputs, last = layer(x, start)
    assert outputs.shape == (STEPS, BATCH, HIDDEN)
    assert list(last) == list(layer.cell.states)
    assert all(v.shape == (BATCH, HIDDEN) for v in last.values())
    assert torch.equal(outputs[-1], last[layer.cell.output])
    outputs.sum().backward()
    assert all(torch.equal(start[s], before[s]) for s in start)
    assert torch.equal(layer(x, start)[0], outputs)


@each("name", EVERY_CELL)
def test_permuting_the_batch_permutes_everything(name):
    layer = make_layer(name)
    x, start = make_input(layer)
    order = torch.tensor([2, 0, 1])
    outputs, last = layer(x, start)
    permuted, last_permuted = layer(x[:, order], {s: v[order] for s, v in start.items()})
    torch.testing.assert_close(permuted, outputs[:, order], rtol=0, atol=1e-14)
    for s in last:
        torch.testing.assert_close(last_permuted[s], last[s][order], rtol=0, atol=1e-14)


@each("name", EVERY_CELL)
def test_sequences_of_a_batch_do_not_meet(name):
    layer = make_layer(name)
    x, start = make_input(layer, steps=12)  # longer than the longest delay
    outputs, _ = layer(x, start)
    leaves = {"x": x, **{s: v for s, v in start.items() if v.requires_grad}}
    found = gradients(outputs[:, 1].sum(), leaves)
    found["x"] = found["x"].transpose(0, 1)
    for leaf, g in found.items():
        read = leaf == "x" or "[" in leaf or is_read(layer.cell, leaf) or f"{leaf}[t-2]" in start
        assert (g[1] != 0).any() == read, leaf
        assert (g[[0, 2]] == 0).all(), leaf


@each("name", EVERY_CELL)
def test_the_past_does_not_see_the_future(name):
    layer = make_layer(name)
    x, start = make_input(layer)
    before = layer(x, start)[0]
    for t in (1, 4):
        changed = x.detach().clone()
        changed[t:] += 1.0
        after = layer(changed, start)[0]
        torch.testing.assert_close(after[:t], before[:t], rtol=0, atol=1e-14)
        assert (after[t] - before[t]).abs().max() > 1e-6
        (gradient,) = torch.autograd.grad(before[:t].sum(), x, retain_graph=True)
        assert (gradient[t:] == 0).all()
        assert (gradient[0] != 0).any()


@each("name", EVERY_CELL)
def test_running_in_two_pieces_is_running_once(name):
    layer = make_layer(name)
    x, start = make_input(layer)
    leaves = leaves_of(layer, x, start)
    outputs, last = layer(x, start)
    whole = gradients(weighted_sum(outputs, last), leaves)
    for cut in (1, 3, 6):
        first, between = layer(x[:cut], start)
        second, last2 = layer(x[cut:], between)
        torch.testing.assert_close(torch.cat([first, second]), outputs, rtol=0, atol=1e-14)
        for s in last:
            torch.testing.assert_close(last2[s], last[s], rtol=0, atol=1e-14)
        pieces = gradients(weighted_sum(torch.cat([first, second]), last2), leaves)
        for what, gradient in whole.items():
            assert_equal(pieces[what], gradient, f"gradient of {what}, cut at {cut}")


def test_lstm_with_an_open_forget_gate_and_a_closed_input_gate_keeps_its_state():
    layer = make_layer("lstm")
    with torch.no_grad():
        layer.b_f.fill_(1e3)
        layer.b_i.fill_(-1e3)
    x, start = make_input(layer, steps=50)
    assert torch.equal(layer(x, start)[1]["c"], start["c"])


# --- the recorder -------------------------------------------------------------------------------


def spelled_out(cell: Cell) -> Cell:
    """The same cell with what carries delayed values, and the step's index, as states of its own."""
    text, names = cell.equations, dict(zip(cell.states, cell.states, strict=True))
    for state in cell.states:
        if match := re.fullmatch(r"(\w+)\[t-(\d+)\]", state):
            base, k = match[1], int(match[2])
            names[state] = f"{base}{k}"
            text = re.sub(rf"\b{base}\[t ?- ?{k}\]", names[state], text)
            text += f"\n{names[state]}' = {base if k == 2 else f'{base}{k - 1}'}"
    if TIME in names:
        names[TIME] = "time"
        text = re.sub(rf"\b{TIME}\b", "time", text) + "\ntime' = time + 1"
    return replace(cell, state=" ".join(names.values()), equations=text)


def with_nudge(cell: Cell, state: str) -> Cell:
    """The cell whose new ``state`` has W_nudge x added to it, right where it is computed."""
    target = f"{state}'"
    lines = (line.partition("=") for line in cell.equations.splitlines())
    [right] = [right.strip() for left, _, right in lines if left.strip() == target]
    return cell.replace({target: f"({right}) + W_nudge x"})


NUDGED = [*[(c, "tanh") for c in EVERY_CELL], *[(c, "relu") for c in representatives()]]


@each(("name", "phi"), [(c, p) for c, p in NUDGED if p in phis(c, EVERY_CELL)])
def test_recorder_is_the_derivative_of_a_nudge_through_an_extra_input(name, phi):
    """∂L/∂s_t by adding H inputs that are added to s' and zero: their gradient is what is asked."""
    layer = make_layer(name, phi)
    x, start = make_input(layer)
    recorder = StateGradients()
    loss = weighted_sum(*layer(x, start, recorder=recorder))
    loss.backward()
    assert set(recorder.states) == set(layer.cell.states)
    cell = spelled_out(layer.cell)
    first = dict(zip(cell.states, start.values(), strict=True))
    for s, theirs in zip(layer.cell.states, cell.states, strict=True):
        nudged = Layer(
            with_nudge(cell, theirs),
            INPUTS + HIDDEN,
            HIDDEN,
            phi=phi,
            dtype=torch.float64,
            engine="reference",
        )
        pad = torch.zeros(HIDDEN, HIDDEN, dtype=torch.float64)
        values = layer.state_dict()
        values |= {n: torch.cat([v, pad], dim=1) for n, v in values.items() if n[0] == "W"}
        values["W_nudge"] = torch.cat([pad[:, :INPUTS], torch.eye(HIDDEN)], dim=1)
        nudged.load_state_dict(values)
        zeros = torch.zeros(STEPS, BATCH, HIDDEN, dtype=torch.float64, requires_grad=True)
        outputs, last = nudged(torch.cat([x.detach(), zeros], dim=-1), first)
        last = {ours: last[name] for ours, name in zip(layer.cell.states, cell.states, strict=True)}
        again = weighted_sum(outputs, last)
        assert_equal(again, loss, "loss")
        (expected,) = torch.autograd.grad(again, zeros)
        assert (expected != 0).any()
        assert_equal(recorder[s], expected, f"dL/d{s}")


@pytest.mark.parametrize("phi", ["tanh", "sigmoid"])
@pytest.mark.parametrize("name", references.LOOPS)
def test_recorder_equals_finite_differences_of_the_loop(name, phi):
    layer = make_layer(name, phi, hidden=2)
    x, start = make_input(layer, steps=4, batch=2)
    recorder = StateGradients()
    weighted_sum(*layer(x, start, recorder=recorder)).backward()
    parameters = {n: p.detach() for n, p in layer.named_parameters()}
    x, start = x.detach(), {s: v.detach() for s, v in start.items()}

    def loss(state: str, t: int, delta: Tensor) -> float:
        def nudge(s: str, now: int, value: Tensor) -> Tensor:
            return value + delta if (s, now) == (state, t) else value

        loop = references.LOOPS[name]
        return float(weighted_sum(*loop(parameters, x, start, references.PHIS[phi], nudge)))

    step = 1e-5  # central differences: an error of order step², 1e-10
    for s in layer.cell.states:
        for t in range(4):
            for unit in range(2):
                delta = torch.zeros(2, dtype=torch.float64)
                delta[unit] = step
                slope = (loss(s, t, delta) - loss(s, t, -delta)) / (2 * step)
                # The loop nudges both sequences of the batch alike.
                assert slope == pytest.approx(recorder[s][t, :, unit].sum().item(), abs=1e-7)


FINAL = {  # states that no equation reads with a prime: at hand between two steps
    name: [
        s
        for s in CELLS[name].states
        if s != TIME and not re.search(rf"(?<!\w){re.escape(s)}'(?! *=)", CELLS[name].equations)
    ]
    for name in EVERY_CELL
}


@each("name", [name for name in EVERY_CELL if FINAL[name]])
def test_recorder_equals_finite_differences_of_a_second_half(name):
    """The sequence is cut after step t, and its rest run from a state that is a little off.

    Only for states that no other equation of the same step reads with a prime: for those, changing
    the state between two steps is changing it where it is computed.
    """
    layer = make_layer(name)
    for t in (0, 2, 5):
        x, start = make_input(layer)
        recorder = StateGradients()
        outputs, _ = layer(x, start, recorder=recorder)
        weights = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(4)).double()
        weights[: t + 1] = 0
        (outputs * weights).sum().backward()
        assert (recorder[layer.cell.output][t + 1 :] != 0).any()
        with torch.no_grad():
            _, between = layer(x[: t + 1], start)
            rest, weights = x[t + 1 :], weights[t + 1 :]
            for s in FINAL[name]:
                for unit in range(HIDDEN):
                    ends = []
                    for step in (1e-5, -1e-5):  # the sequences do not meet: all moved at once
                        moved = {k: v.clone() for k, v in between.items()}
                        moved[s][:, unit] += step
                        ends.append((layer(rest, moved)[0] * weights).sum(dim=(0, 2)))
                    numeric = (ends[0] - ends[1]) / 2e-5
                    torch.testing.assert_close(recorder[s][t, :, unit], numeric, rtol=0, atol=1e-8)
                    if is_read(layer.cell, re.escape(s)):
                        assert numeric.abs().max() > 1e-4, s


@each("name", EVERY_CELL)
def test_recorder_changes_nothing(name):
    layer = make_layer(name)
    x, start = make_input(layer)
    plain, last = layer(x, start)
    recorded, last2 = layer(x, start, recorder=StateGradients())
    assert torch.equal(plain, recorded)
    assert all(torch.equal(last[s], last2[s]) for s in last)
    leaves = leaves_of(layer, x, start)
    expected = gradients(weighted_sum(plain, last), leaves)
    found = gradients(weighted_sum(recorded, last2), leaves)
    assert all(torch.equal(gradient, found[what]) for what, gradient in expected.items())


def test_recorder_of_a_loss_at_the_end_follows_the_jacobian_of_a_linear_cell():
    layer = make_layer("elman", "identity", hidden=3)
    x, start = make_input(layer, steps=6, batch=1)
    recorder = StateGradients()
    outputs, _ = layer(x, start, recorder=recorder)
    outputs[-1].sum().backward()
    expected = torch.ones(3, dtype=torch.float64)
    for t in reversed(range(6)):
        assert_equal(recorder["h"][t, 0], expected, f"step {t}")
        expected = layer.U.detach().T @ expected


def test_recorder_of_a_loss_in_the_middle_is_zero_after_it():
    layer = make_layer("lstm")
    x, start = make_input(layer)
    recorder = StateGradients()
    outputs, _ = layer(x, start, recorder=recorder)
    outputs[3].sum().backward()
    for s in "hc":
        assert (recorder[s][:4] != 0).any(dim=-1).all()
        assert (recorder[s][4:] == 0).all()


def test_recorder_works_without_gradients_of_input_and_state():
    layer = make_layer("gru")
    x, _ = make_input(layer)
    recorder = StateGradients()
    layer(x.detach(), recorder=recorder)[0].sum().backward()
    assert (recorder["h"] != 0).all()


def test_recorder_of_an_unknown_state_raises():
    with pytest.raises(RuntimeError, match="'h'"):
        _ = StateGradients()["h"]


def test_recorder_raises_between_forward_and_backward():
    layer = make_layer("elman")
    recorder = StateGradients()
    layer(make_input(layer)[0], recorder=recorder)
    with pytest.raises(RuntimeError, match="backward"):
        _ = recorder["h"]


def test_recorder_of_a_state_that_is_passed_on_unchanged():
    """c_t = c_{t-1}, h_t = φ(c_t): what reaches c_t comes from h_t and later, not from before."""
    cell = Cell(name="held", state="h c", equations="c' = c\nh' = phi(W x + c')", source="test")
    layer = make_layer(cell)
    x, start = make_input(layer)
    recorder = StateGradients()
    outputs, _ = layer(x, start, recorder=recorder)
    outputs.sum().backward()
    slope = 1 - outputs.detach() ** 2
    assert_equal(recorder["c"], slope.flip(0).cumsum(0).flip(0), "dL/dc")


def test_recorder_of_a_state_that_equals_another():
    """h_t = c_t by definition: h is read by the loss only, c by the next step and by h."""
    cell = Cell(name="copy", state="h c", equations="c' = phi(W x + U c)\nh' = c'", source="test")
    layer = make_layer(cell)
    x, start = make_input(layer)
    recorder = StateGradients()
    outputs, _ = layer(x, start, recorder=recorder)
    outputs.sum().backward()
    assert_equal(recorder["h"], torch.ones_like(outputs), "dL/dh")


# --- cells that users write ---------------------------------------------------------------------


def run_text(equations: str, state: str = "h", phi: str = "tanh"):
    layer = make_layer(Cell(name="written", state=state, equations=equations, source="test"), phi)
    x, start = make_input(layer)
    return layer, x, start, *layer(x, start)


def test_one_matrix_used_twice_in_a_step():
    """Antisymmetric gated cells use the same matrix in the gate and in the candidate."""
    layer, x, start, outputs, _ = run_text("z = sigmoid(U h)\nh' = phi(W x + U (z*h))")
    h = start["h"]
    for t in range(STEPS):
        z = torch.sigmoid(h @ layer.U.T)
        h = torch.tanh(x[t] @ layer.W.T + (z * h) @ layer.U.T)
        assert_equal(outputs[t], h, f"step {t}")


def test_a_peephole_is_element_wise():
    layer, x, start, outputs, _ = run_text("h' = tanh(W x + p_h*h)")
    h = start["h"]
    for t in range(STEPS):
        h = torch.tanh(x[t] @ layer.W.T + layer.p_h * h)
        assert_equal(outputs[t], h, f"step {t}")


def test_numbers_quotients_and_powers():
    layer, x, start, outputs, _ = run_text("a = W x\nh' = 0.5*h - a**3/(1 + a**2) + h/4 - -a/2")
    h = start["h"]
    for t in range(STEPS):
        a = x[t] @ layer.W.T
        h = 0.75 * h - a**3 / (1 + a**2) + a / 2
        assert_equal(outputs[t], h, f"step {t}")


@pytest.mark.parametrize("right", ["exp(-h*h) + W x", "log(1 + exp(W x + h))", "relu(-h) + W x"])
def test_elementary_functions(right):
    layer, x, start, outputs, _ = run_text(f"h' = {right}")
    expected = {
        "exp(-h*h) + W x": lambda a, h: torch.exp(-h * h) + a,
        "log(1 + exp(W x + h))": lambda a, h: nn.functional.softplus(a + h),
        "relu(-h) + W x": lambda a, h: torch.clamp(-h, min=0) + a,
    }[right]
    h = start["h"]
    for t in range(STEPS):
        h = expected(x[t] @ layer.W.T, h)
        assert_equal(outputs[t], h, f"step {t}")


def test_old_and_new_states_are_told_apart():
    """h' and c' are exchanged: each reads the other's old value."""
    _, _, start, _, last = run_text("h' = c\nc' = h + 0*W_a x", state="h c")
    assert STEPS % 2 == 1
    assert torch.equal(last["h"], start["c"])
    assert torch.equal(last["c"], start["h"])


def test_a_constant_state_has_the_right_shape():
    _, _, _, outputs, last = run_text("c' = 1\nh' = phi(W x + U c')", state="h c")
    assert last["c"].shape == (BATCH, HIDDEN)
    assert (last["c"] == 1).all()
    assert outputs.shape == (STEPS, BATCH, HIDDEN)


@pytest.mark.parametrize(
    "constant",
    [
        "tanh(0.5)",  # a Float, which sympy evaluates
        "sigmoid(2)",
        "exp(1)",
        "log(2)",
    ],
)
def test_a_function_of_a_number_is_a_number(constant):
    name, _, argument = constant.rstrip(")").partition("(")
    number = {"sigmoid": lambda a: 1 / (1 + math.exp(-a)), "exp": math.exp, "log": math.log}
    value = number.get(name, math.tanh)(float(argument))
    layer, x, _, outputs, _ = run_text(f"h' = {constant}*(W x)")
    assert_equal(outputs, value * (x @ layer.W.T), constant)


def test_a_matrix_of_a_matrix():
    """A low-rank recurrence, or a deep transition: U_b (tanh(U_a h))."""
    layer, x, start, outputs, _ = run_text("h' = phi(W x + U_b (tanh(U_a h)))")
    h = start["h"]
    for t in range(STEPS):
        h = torch.tanh(x[t] @ layer.W.T + torch.tanh(h @ layer.U_a.T) @ layer.U_b.T)
        assert_equal(outputs[t], h, f"step {t}")


def test_phi_inside_what_a_matrix_is_applied_to():
    """MUT3's gate reads U_z tanh(h); with φ in the place of tanh it must run as well."""
    layer, x, start, outputs, _ = run_text("h' = sigmoid(W x + U (phi(h)))", phi="relu")
    assert layer.cell.uses_phi
    h = start["h"]
    for t in range(STEPS):
        h = torch.sigmoid(x[t] @ layer.W.T + torch.relu(h) @ layer.U.T)
        assert_equal(outputs[t], h, f"step {t}")
