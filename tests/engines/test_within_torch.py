"""What other torch code does with a layer, in processes that may die of it."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from study import Layer, Stack, StateGradients
from study.base.errors import UserError

SCRIPT = Path(__file__).with_name("within_torch.py")
# A process takes seconds to load torch, and what compiles seconds more.
SECTIONS = [["compiled", "fake", "exported"], ["traced", "second", "transforms", "everyday"]]


@pytest.mark.parametrize("sections", SECTIONS, ids=" ".join)
def test_the_layer_does_as_torchs_own(sections):
    """torch.nn's layer with the same weights is the expected value; see the script."""
    command = [sys.executable, "-W", "ignore", str(SCRIPT), *sections]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"{done.returncode}: {done.stdout}\n{done.stderr[-3000:]}"
    assert done.stdout.endswith("done\n")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_a_step_is_counted_exactly_in_any_dtype(dtype):
    """float16 has no 2049 and bfloat16 no 257: the slowest module would act never again, or always."""
    steps = 2100 if dtype == torch.float16 else 300
    layer = Layer("clockwork", 1, 8, dtype=dtype, engine="reference")
    with torch.no_grad():
        outputs, last = layer(torch.ones(steps, 1, 1, dtype=dtype))
        later, _ = layer(torch.ones(8, 1, 1, dtype=dtype), last)
    assert outputs.dtype == later.dtype == dtype
    assert last["t"].unique().tolist() == [steps]


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize("level", [-100.0, -1000.0, 0.0, 80.0])
def test_two_shut_gates_still_share_the_state(engine, level):
    """σ(a)/(σ(a) + σ(a - 1)) goes to σ(1) = 1/(1 + 1/e) as a falls, where both round to zero."""
    layer = Layer("minlstm", 1, 1, engine=engine)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.b_f.fill_(level)
        layer.b_i.fill_(level - 1)
    outputs, _ = layer(torch.zeros(1, 1, 1), {"h": torch.full((1, 1), 2.0)})
    outputs.sum().backward()
    a = torch.tensor(level, dtype=torch.float64, requires_grad=True)
    b = torch.tensor(level - 1, dtype=torch.float64, requires_grad=True)
    logsigmoid = nn.functional.logsigmoid
    share = torch.exp(logsigmoid(a) - torch.logaddexp(logsigmoid(a), logsigmoid(b)))
    expected = share * 2 + (1 - share) * 0.5  # the candidate of 0 is 1/2
    expected.backward()
    assert outputs.item() == pytest.approx(expected.item(), rel=1e-6)
    assert layer.b_f.grad.item() == pytest.approx(a.grad.item(), rel=1e-5, abs=1e-7)
    assert layer.b_i.grad.item() == pytest.approx(b.grad.item(), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_lengths_as_a_list_and_as_a_tuple(engine):
    layer = Layer("gru", 2, 3, engine=engine)
    stack = Stack("gru", 2, 3, bidirectional=True, engine=engine)
    x = torch.randn(5, 3, 2)
    for module in (layer, stack):
        expected = module(x, lengths=torch.tensor([5, 1, 3]))[0]
        for lengths in ([5, 1, 3], (5, 1, 3), torch.tensor([5, 1, 3], dtype=torch.int32)):
            assert torch.equal(module(x, lengths=lengths)[0], expected)
        for bad in ([5, 1], [5, 1, 6], [0, 1, 2], [1.0, 2.0, 3.0], [True] * 3, "513", [[5], [1]]):
            with pytest.raises(UserError, match="lengths must be"):
                module(x, lengths=bad)


@pytest.mark.parametrize("engine", ["auto", "native", "reference"])
def test_two_dtypes_are_refused_in_one_line(engine):
    """nn.LSTM: 'Input and parameter tensors are not the same dtype'."""
    layer = Layer("lstm", 2, 3, engine=engine, dtype=torch.float64)
    x = torch.randn(5, 3, 2)
    with pytest.raises(UserError, match=r"x is torch\.float32, the layer's parameters are .*64"):
        layer(x)
    state = layer.initial_state(x)
    with pytest.raises(UserError, match=r"state h is torch\.float32, .* are torch\.float64"):
        layer(x.double(), state)


def test_a_parameter_of_another_shape_does_not_reach_the_kernel():
    layer = Layer("lstm", 2, 3, engine="native")
    layer.U_i = nn.Parameter(torch.zeros(3, 2))
    with pytest.raises(UserError, match=r"parameter U_i must be \(3, 3\), got \(3, 2\)"):
        layer(torch.randn(5, 3, 2))


def test_a_recorder_is_not_traced():
    layer = Layer("lstm", 2, 3)
    with pytest.raises(UserError, match="a recorder is filled by Python"):
        torch.jit.trace(lambda x: layer(x, recorder=StateGradients())[0], torch.randn(5, 3, 2))


def test_real_time_learning_refuses_a_second_derivative():
    """Also where the gradient is asked for by name, past what refuses when it is passed through."""
    layer = Layer("elman", 2, 3, dtype=torch.float64)
    x = torch.randn(4, 2, 2, dtype=torch.float64)
    loss = layer(x, credit="rtrl")[0].square().sum()
    (slope,) = torch.autograd.grad(loss, layer.U, create_graph=True)
    with pytest.raises(RuntimeError, match="first derivatives only"):
        torch.autograd.grad(slope.square().sum() + layer.U.square().sum(), layer.U)


def test_the_operators_are_as_torch_wants_them():
    """Schema, autograd, stand-ins and compiling, by torch's own checks."""
    from study.engines.native.operators import text_of

    layer = Layer("lstm", 2, 3, dtype=torch.float64)
    x = torch.randn(4, 2, 2, dtype=torch.float64, requires_grad=True)
    start = list(layer.initial_state(x).values())
    weights = list(layer.parameters())
    given = (text_of(layer.cell, layer.phi), x, start, weights, torch.tensor([2, 4]), None, 0.01)
    torch.library.opcheck(torch.ops.longlag.run.default, given)
