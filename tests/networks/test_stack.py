"""Stacked and bidirectional layers against torch.nn.LSTM."""

import pytest
import torch
from torch import nn

from study import Layer
from study.base.errors import UserError
from study.engines.recording import StateGradients
from study.networks.stack import Stack

GATES = "ifgo"  # torch's order


def copy_weights(stack: Stack, other: nn.LSTM) -> None:
    for k, layer in enumerate(stack.layers):
        suffix = f"_l{k // stack.directions}" + ("_reverse" if k % stack.directions else "")
        with torch.no_grad():
            for letter, kind in (("W", "weight_ih"), ("U", "weight_hh"), ("b", "bias_ih")):
                parts = [getattr(layer, f"{letter}_{gate}") for gate in GATES]
                getattr(other, kind + suffix).copy_(torch.cat(parts))
            getattr(other, "bias_hh" + suffix).zero_()


@pytest.fixture(params=["native", "reference"])
def pair(request):
    generator = torch.Generator().manual_seed(0)
    stack = Stack(
        "lstm", 3, 5, layers=2, bidirectional=True, generator=generator, engine=request.param,
        biases="uniform", dtype=torch.float64,
    )  # fmt: skip
    other = nn.LSTM(3, 5, num_layers=2, bidirectional=True, dtype=torch.float64)
    copy_weights(stack, other)
    return stack, other


def test_two_layers_in_both_directions(pair):
    stack, other = pair
    x = torch.randn(7, 4, 3, dtype=torch.float64)
    outputs, last = stack(x)
    expected, (h, c) = other(x)
    torch.testing.assert_close(outputs, expected)
    torch.testing.assert_close(torch.stack([s["h"] for s in last]), h)
    torch.testing.assert_close(torch.stack([s["c"] for s in last]), c)
    outputs.square().sum().backward()
    expected.square().sum().backward()
    found = torch.cat([getattr(stack.layers[3], f"U_{gate}").grad for gate in GATES])
    torch.testing.assert_close(found, other.weight_hh_l1_reverse.grad)
    found = torch.cat([getattr(stack.layers[1], f"W_{gate}").grad for gate in GATES])
    torch.testing.assert_close(found, other.weight_ih_l0_reverse.grad)


def test_lengths_are_torchs_packed_sequences(pair):
    stack, other = pair
    x, lengths = torch.randn(7, 4, 3, dtype=torch.float64), torch.tensor([7, 2, 1, 5])
    outputs, last = stack(x, lengths=lengths)
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
    out, (h, c) = other(packed)
    expected, _ = nn.utils.rnn.pad_packed_sequence(out)
    torch.testing.assert_close(outputs, expected)
    torch.testing.assert_close(torch.stack([s["h"] for s in last]), h)
    torch.testing.assert_close(torch.stack([s["c"] for s in last]), c)


def test_given_states_and_recorders():
    stack = Stack("gru", 3, 5, layers=2)
    x = torch.randn(6, 2, 3)
    _, middle = stack(x[:2])
    tail, _ = stack(x[2:], middle)
    recorders = [StateGradients(), StateGradients()]
    whole, _ = stack(x, recorders=recorders)
    torch.testing.assert_close(tail, whole[2:])
    whole.sum().backward()
    assert recorders[0]["h"].shape == (6, 2, 5)
    assert torch.equal(recorders[1]["h"][-1], torch.ones(2, 5))
    with pytest.raises(UserError, match="states must be 2, one a layer"):
        stack(x, [None])


def test_a_stack_needs_a_layer():
    with pytest.raises(UserError, match="layers must be at least 1"):
        Stack("gru", 3, 5, layers=0)


def test_the_engine_of_a_layer_does_not_change_its_numbers():
    layers = [
        Layer("gru", 3, 5, generator=torch.Generator().manual_seed(1), engine=engine,
              dtype=torch.float64)
        for engine in ("native", "reference")
    ]  # fmt: skip
    x = torch.randn(6, 2, 3, dtype=torch.float64)
    torch.testing.assert_close(layers[0](x)[0], layers[1](x)[0])
    with pytest.raises(UserError, match="no engine named"):
        Layer("gru", 3, 5, engine="fast")
