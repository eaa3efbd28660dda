"""The layer in other torch code, against torch's own layer with the same weights.

``python within_torch.py SECTION …`` runs sections for three cells and both engines, and prints what it
is about to do, so that a process that dies tells where.
"""

import copy
import io
import itertools
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.autograd import functional as AF
from torch.func import functional_call, grad, jacfwd, jacrev, stack_module_state, vmap

from study import Layer

STEPS, BATCH, INPUTS, HIDDEN = 4, 2, 2, 3
EXACT = 1e-12  # float64, some hundred additions
KINDS: dict[str, tuple[Callable[..., nn.Module], list[str], list[str]]] = {
    "lstm": (nn.LSTM, ["_i", "_f", "_g", "_o"], []),
    "gru-torch": (nn.GRU, ["_r", "_z", "_n"], ["b_hn"]),
    "elman": (nn.RNN, [""], []),
}


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Pair:
    """Our layer and torch's, with x (T,B,I) and a direction v of its shape."""

    def __init__(self, cell: str, engine: str, dtype: torch.dtype = torch.float64) -> None:
        make, self.gates, self.own = KINDS[cell]
        g = torch.Generator().manual_seed(1)
        how = {"generator": g, "dtype": dtype, "biases": "uniform", "engine": engine}
        self.cell, self.engine = cell, engine
        self.ours = Layer(cell, INPUTS, HIDDEN, **how)
        self.theirs = make(INPUTS, HIDDEN, dtype=dtype)
        with torch.no_grad():
            named = dict(self.ours.named_parameters())
            for kind, theirs in (("W", "weight_ih_l0"), ("U", "weight_hh_l0"), ("b", "bias_ih_l0")):
                getattr(self.theirs, theirs).copy_(self.together(kind, named))
            self.theirs.bias_hh_l0.zero_()
            if self.own:
                self.theirs.bias_hh_l0[-HIDDEN:] = self.ours.b_hn
        self.x = normal(2, STEPS, BATCH, INPUTS).to(dtype)
        self.v = normal(3, STEPS, BATCH, INPUTS).to(dtype)

    def together(self, kind: str, named: dict[str, Any]) -> Tensor:
        return torch.cat([named[kind + gate] for gate in self.gates])

    def loss(self, layer: nn.Module) -> Callable[[Tensor], Tensor]:
        return lambda x: layer(x)[0].square().sum()

    def both(self, value: Callable[[nn.Module], Any]) -> None:
        """Asserts that ``value`` of our layer is that of theirs, and not nothing."""
        found, expected = value(self.ours), value(self.theirs)
        found, expected = ([x] if isinstance(x, Tensor) else x for x in (found, expected))
        for ours, theirs in zip(found, expected, strict=True):
            assert theirs.abs().max() > 0
            same(ours, theirs)

    def gradients(self, layer: nn.Module, value: Tensor, *others: Tensor) -> list[Tensor]:
        """Of the input matrices, the recurrent ones, and others."""
        if layer is self.theirs:
            leaves = [layer.weight_ih_l0, layer.weight_hh_l0, *others]
            return list(torch.autograd.grad(value, leaves))
        named = dict(layer.named_parameters())
        found = torch.autograd.grad(value, [*named.values(), *others])
        by_name = dict(zip(named, found, strict=False))
        return [*(self.together(k, by_name) for k in "WU"), *found[len(named) :]]


def same(found: Tensor, expected: Tensor, tolerance: float = EXACT) -> None:
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def refuses(error: type[Exception], match: str, what: Callable[[], Any]) -> None:
    with pytest.raises(error, match=match) as caught:
        what()
    assert "\n" not in str(caught.value)


def compiled(p: Pair) -> None:
    if p.engine == "native":
        for backend in ("eager", "aot_eager"):
            torch._dynamo.reset()
            ours = torch.compile(p.ours, backend=backend, fullgraph=True)
            x = p.x.clone().requires_grad_()
            for layer, run in ((p.ours, ours), (p.theirs, p.theirs)):
                value = run(x)[0].square().sum()
                found = p.gradients(layer, value, x)
                if layer is p.ours:
                    first = found
            for ours_, theirs in zip(first, found, strict=True):
                same(ours_, theirs)
            lengths = torch.tensor([3, STEPS])
            ours = torch.compile(p.ours, backend=backend)
            same(ours(p.x, lengths=lengths)[0], p.ours(p.x, lengths=lengths)[0])
    else:
        torch._dynamo.reset()
        same(torch.compile(p.ours, backend="eager")(p.x)[0], p.theirs(p.x)[0])


def fake(p: Pair) -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with mode:
        outputs, last = p.ours(mode.from_tensor(p.x))
        outputs.sum().backward()
    assert outputs.shape == (STEPS, BATCH, HIDDEN)
    assert type(outputs).__name__ == "FakeTensor"
    assert all(s.shape == (BATCH, HIDDEN) for s in last.values())
    p.ours.zero_grad()
    meta = copy.deepcopy(p.ours).to("meta")
    if p.engine == "reference":
        assert meta(p.x.to("meta"))[0].shape == outputs.shape


def exported(p: Pair) -> None:
    longer = normal(4, STEPS, 3 * BATCH, INPUTS)
    batch = torch.export.Dim("B", min=2, max=64)
    program = torch.export.export(p.ours, (p.x,), dynamic_shapes=({1: batch},))
    same(program.module()(longer)[0], p.theirs(longer)[0])
    names = {str(node.target) for node in program.graph.nodes}
    assert any("longlag" in name for name in names) == (p.engine == "native")
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    same(torch.export.load(file).module()(longer)[0], p.theirs(longer)[0])


def traced(p: Pair) -> None:
    for with_gradient in (True, False):
        with torch.set_grad_enabled(with_gradient):
            ours = torch.jit.trace(p.ours, (p.x,), strict=False)
            same(ours(p.x)[0], p.theirs(p.x)[0])
            wider = torch.cat([p.v, p.x], 1)
            same(ours(wider)[0], p.theirs(wider)[0])


def second(p: Pair) -> None:
    """Derivatives of derivatives."""
    p.both(lambda layer: AF.hessian(p.loss(layer), p.x))
    p.both(lambda layer: AF.hvp(p.loss(layer), p.x, p.v)[1])
    p.both(lambda layer: AF.vhp(p.loss(layer), p.x, p.v)[1])
    p.both(lambda layer: AF.jvp(p.loss(layer), p.x, p.v)[1])
    p.both(lambda layer: AF.vjp(lambda x: layer(x)[0], p.x, layer(p.x)[0].detach())[1])
    p.both(lambda layer: AF.jacobian(lambda x: layer(x)[0], p.x))

    def penalty(layer: nn.Module) -> list[Tensor]:
        x = p.x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(p.loss(layer)(x), x, create_graph=True)
        return p.gradients(layer, slope.square().sum(), x)

    p.both(penalty)
    x = p.x.clone().requires_grad_()
    same(
        AF.jacobian(lambda x: p.ours(x)[0], p.x, vectorize=True),
        AF.jacobian(lambda x: p.theirs(x)[0], p.x),
    )
    with torch.autograd.set_detect_anomaly(True):
        assert torch.autograd.gradcheck(
            lambda x: p.ours(x)[0], x, check_forward_ad=p.engine != "native"
        )
    assert torch.autograd.gradgradcheck(lambda x: p.ours(x)[0], x)
    start = {name: normal(7, BATCH, HIDDEN).requires_grad_() for name in p.ours.cell.states}
    again = p.ours(p.x, start, lengths=[2, STEPS], credit="truncated", limit=1e-3)[0]
    torch.autograd.grad(again.sum(), list(start.values()), create_graph=True)


def transforms(p: Pair) -> None:
    def tangent(layer: nn.Module) -> Tensor:
        with forward_ad.dual_level():
            return forward_ad.unpack_dual(layer(forward_ad.make_dual(p.x, p.v))[0]).tangent

    weights = dict(p.ours.named_parameters())

    def value(weights: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(p.ours, weights, (x,))[0].square().sum()

    same(functional_call(p.ours, weights, (p.x,))[0], p.theirs(p.x)[0])
    if p.engine == "native":
        from study.base.errors import UserError

        for what in (
            lambda: tangent(p.ours),
            lambda: grad(value)(weights, p.x),
            lambda: vmap(lambda x: p.ours(x)[0])(torch.stack([p.x, p.v])),
        ):
            refuses(UserError, "engine='reference'", what)
        p.ours.engine = "auto"
    expected = AF.jvp(lambda x: p.theirs(x)[0], p.x, p.v)[1]
    for with_gradient in (True, False):
        with torch.set_grad_enabled(with_gradient):
            same(tangent(p.ours), expected)
    found = grad(value)(weights, p.x)
    expected_by = p.gradients(p.theirs, p.loss(p.theirs)(p.x))
    for kind, theirs in zip("WU", expected_by, strict=True):
        same(p.together(kind, found), theirs)
    expected = AF.jacobian(lambda x: p.theirs(x)[0], p.x)
    for jacobian in (jacrev, jacfwd):
        same(jacobian(lambda x: p.ours(x)[0])(p.x), expected)
    same(torch.func.hessian(value, 1)(weights, p.x), AF.hessian(p.loss(p.theirs), p.x))
    many = vmap(lambda x: p.ours(x)[0])(torch.stack([p.x, p.v]))
    same(many, torch.stack([p.theirs(p.x)[0], p.theirs(p.v)[0]]))
    shifted = copy.deepcopy(p.ours)
    with torch.no_grad():
        for parameter in shifted.parameters():
            parameter.mul_(0.5)
    stacked, buffers = stack_module_state([p.ours, shifted])
    together = vmap(lambda w, b: functional_call(p.ours, (w, b), (p.x,))[0])(stacked, buffers)
    same(together, torch.stack([p.theirs(p.x)[0], shifted(p.x)[0]]))


def everyday(p: Pair) -> None:
    """What torch code does with any module."""
    expected = p.theirs(p.x)[0]
    same(copy.deepcopy(p.ours)(p.x)[0], expected)
    other = Layer(p.cell, INPUTS, HIDDEN, dtype=torch.float64, engine=p.engine)
    other.load_state_dict(p.ours.state_dict())
    same(other.share_memory()(p.x)[0], expected)
    with torch.inference_mode():
        same(p.ours(p.x)[0], p.theirs(p.x)[0])
    wide = torch.cat([p.x, p.v], 2)[..., :INPUTS]
    same(p.ours(wide)[0], expected)
    assert p.ours(p.x[:, :0])[0].shape == (STEPS, 0, HIDDEN)
    for view in (torch.complex(p.v, -p.x).conj().imag, -torch.zeros_like(p.x) + p.x):
        same(p.ours(view)[0], expected)
    same(p.ours(torch._neg_view(-p.x))[0], expected)
    x = p.x.clone().requires_grad_()
    checkpointed = torch.utils.checkpoint.checkpoint(lambda x: p.ours(x)[0], x, use_reentrant=False)
    p.both(lambda layer: AF.vjp(lambda x: layer(x)[0], p.x, expected.detach())[1])
    (found,) = torch.autograd.grad(checkpointed.square().sum(), x)
    same(found, torch.autograd.grad(p.loss(p.theirs)(x), x)[0])
    seen: list[int] = []
    handle = p.ours.register_forward_hook(lambda *given: seen.append(1))
    full = p.ours.register_full_backward_hook(lambda *given: seen.append(2))
    p.ours(x)[0].sum().backward()
    assert seen == [1, 2]
    handle.remove()
    full.remove()
    value = p.loss(p.ours)(x)
    once = torch.autograd.grad(value, x, retain_graph=True)[0]
    assert torch.equal(once, torch.autograd.grad(value, x)[0])
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        torch.autograd.grad(value, x)
    if p.engine == "native":  # the reference engine has the matrices joined, in a copy
        value = p.loss(p.ours)(x)
        with torch.no_grad():
            next(iter(p.ours.parameters())).add_(0)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            value.backward()
    offloaded: list[Tensor] = []
    with torch.autograd.graph.save_on_cpu():
        offloaded.append(p.loss(p.ours)(x))
    same(torch.autograd.grad(offloaded[0], x)[0], once)
    threads, results = [], {}
    for k in range(3):
        work = threading.Thread(
            target=lambda k=k: results.update({k: torch.autograd.grad(p.loss(p.ours)(x), x)[0]})
        )
        threads.append(work)
        work.start()
    for work in threads:
        work.join()
    assert all(torch.equal(results[k], once) for k in range(3))
    with torch.profiler.profile() as profile:
        p.ours(p.x)
    names = {event.key for event in profile.key_averages()}
    assert ("longlag::run" in names) == (p.engine == "native")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        same(p.ours(p.x)[0], expected)
        assert p.ours(p.x.bfloat16())[0].dtype == torch.float64


def main(sections: Sequence[str], engines: Sequence[str] = ("native", "reference")) -> None:
    torch.set_num_threads(1)
    for section, cell, engine in itertools.product(sections, KINDS, engines):
        print(section, cell, engine, flush=True)
        globals()[section](Pair(cell, engine))
    print("done")


if __name__ == "__main__":
    main(sys.argv[1:])
