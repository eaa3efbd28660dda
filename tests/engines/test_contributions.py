"""What each step adds to the gradient of a cell's parameters, against autograd with copies of them."""

import torch
from cases import each
from torch import Tensor

from study.cells import CELLS
from study.engines import reference
from study.engines.derivatives.contributions import parameter_terms
from study.engines.recording import StateGradients
from study.language.cell import Cell
from study.language.nonlinearities import NONLINEARITIES, Nonlinearity
from study.networks.layer import Layer

T, B, H, INPUTS = 5, 3, 4, 2
TWICE = Cell(
    name="twice", state="h", equations="h' = tanh(U (phi(U h + W x))) + W x", source="this test"
)
IDLE = Cell(name="idle", state="h s", equations="h' = 0*h\ns' = tanh(s + b)", source="this test")


def drawn(cell: Cell, phi: str) -> tuple[dict[str, Tensor], Tensor, dict[str, Tensor]]:
    """Parameters, what is read and the first state."""
    draws = torch.Generator().manual_seed(4)
    layer = Layer(cell, INPUTS, H, phi, generator=draws, dtype=torch.float64)
    parameters = {n: getattr(layer, n).detach().clone() for n in cell.parameters}
    for name, value in parameters.items():
        if not cell.parameters[name].is_fixed:
            value += 0.3 * torch.randn(value.shape, generator=draws, dtype=value.dtype)
    x = torch.randn(T, B, INPUTS, generator=draws, dtype=torch.float64)
    state = layer.initial_state(x[:1])
    for name in cell.variables:
        state[name] = 0.5 * torch.rand(B, H, generator=draws, dtype=torch.float64)
    return parameters, x, state


def by_copies(
    cell: Cell,
    phi: Nonlinearity,
    parameters: dict[str, Tensor],
    x: Tensor,
    state: dict[str, Tensor],
) -> dict[str, Tensor]:
    copies = [{n: p.clone().requires_grad_() for n, p in parameters.items()} for _ in x]
    outputs = []
    for now, own in zip(x, copies, strict=True):
        output, state = reference.run(cell, phi, own, now[None], state)
        outputs.append(output[0])
    loss(torch.stack(outputs), state[cell.variables[-1]]).backward()
    none = {n: torch.zeros_like(p) for n, p in parameters.items()}
    grads = [{n: none[n] if p.grad is None else p.grad for n, p in own.items()} for own in copies]
    return {n: torch.stack([g[n] for g in grads]) for n in parameters}


def loss(outputs: Tensor, last: Tensor) -> Tensor:
    """At two steps, and of the last state that is no output."""
    return outputs[-1].sin().sum() + (outputs[2] ** 2).sum() + (last**3).sum()


@each(
    ("cell", "phi"),
    [
        *((cell, "tanh") for _, cell in CELLS.items()),
        (CELLS["elman"], "relu"),
        (CELLS["lstm"], "softsign"),
        (TWICE, "tanh"),
        (IDLE, "tanh"),
    ],
    ids=lambda case: case if isinstance(case, str) else case.name,
)
def test_the_terms_of_every_cell(cell: Cell, phi: str) -> None:
    made = NONLINEARITIES[phi]
    parameters, x, state = drawn(cell, phi)
    expected = by_copies(cell, made, parameters, x, state)
    recorder = StateGradients()
    free = {n: p.clone().requires_grad_() for n, p in parameters.items()}
    outputs, ended = reference.run(cell, made, free, x, state, recorder)
    loss(outputs, ended[cell.variables[-1]]).backward()
    before = {n: recorder.before(n) for n in cell.states}
    gradients = {n: recorder[n] for n in cell.variables}
    found = parameter_terms(cell, made, parameters, x, before, gradients)
    assert found.keys() == parameters.keys()
    for name, terms in found.items():
        assert not terms.requires_grad
        # float64, five steps
        torch.testing.assert_close(terms, expected[name], rtol=1e-9, atol=1e-12)
        whole = free[name].grad
        if whole is not None:
            torch.testing.assert_close(terms.sum(dim=0), whole, rtol=1e-9, atol=1e-12)


def test_a_state_that_is_left_out_counts_as_zero() -> None:
    cell, phi = CELLS["lstm"], NONLINEARITIES["tanh"]
    parameters, x, state = drawn(cell, "tanh")
    before = {n: s[None].expand(T, B, H) for n, s in state.items()}
    ones = torch.ones(T, B, H, dtype=torch.float64)
    h = parameter_terms(cell, phi, parameters, x, before, {"h": ones})
    both = parameter_terms(cell, phi, parameters, x, before, {"h": ones, "c": 0 * ones})
    for name, terms in both.items():
        assert torch.equal(h[name], terms)
    # h' = o φ(c'), with c' as a constant: of the gates only o has a term.
    assert {n for n, terms in h.items() if terms.any()} == {"W_o", "U_o", "b_o"}
    none = parameter_terms(cell, phi, parameters, x, before, {})
    assert all(not terms.any() for terms in none.values())


def test_nothing_is_changed() -> None:
    cell, phi = CELLS["gru"], NONLINEARITIES["tanh"]
    parameters, x, state = drawn(cell, "tanh")
    free = {n: p.clone().requires_grad_() for n, p in parameters.items()}
    before = {n: s[None].expand(T, B, H) for n, s in state.items()}
    gradients = {"h": torch.ones(T, B, H, dtype=torch.float64)}
    with torch.no_grad():
        parameter_terms(cell, phi, free, x, before, gradients)
    assert all(p.grad is None for p in free.values())
    assert all(torch.equal(p, parameters[n]) for n, p in free.items())
    assert set(before) == {"h"}
