"""The native engine's passes of the catalogue against the steps written from the sources."""

import pytest
import torch
from cases import each
from reconciliation import assert_same, drawn_layer

from study.cells import CELLS

pytestmark = pytest.mark.usefixtures("catalogue_kernels")


@each("name", CELLS)
def test_equals_the_step_written_from_its_source(name):
    assert_same(name, "native")


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_exponential_gates_stay_finite(engine):
    """sLSTM in float32, 500 steps, pre-activations in the hundreds: e^100 is beyond float32."""
    g = torch.Generator().manual_seed(0)
    layer = drawn_layer("slstm", (3, 8), "tanh", g).float()
    layer.engine = engine
    x = (300 * torch.randn(500, 2, 3, generator=g)).requires_grad_()
    outputs, last = layer(x)
    assert outputs.isfinite().all()
    assert outputs.abs().max() <= 1  # a mean of values in [-1, 1], behind a gate
    assert all(value.isfinite().all() for value in last.values())
    assert last["m"].abs().max() > 100
    outputs.sum().backward()
    assert x.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in layer.parameters())
