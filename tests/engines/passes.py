"""One pass of a cell through an engine, with everything that may differ between engines."""

from dataclasses import dataclass, field
from typing import Any

import torch
from sampling import first_states, fixed_vectors
from torch import Tensor

from study.engines import select
from study.engines.recording import Limit, StateGradients
from study.language.cell import Cell
from study.language.nonlinearities import NONLINEARITIES

# Cells that use more of the language than the catalogue does.
LANGUAGE = {
    name: Cell(name=name, state=state, equations=equations, source="these tests")
    for name, state, equations in (
        (
            "peepholes",
            "h c",
            """
            i = sigmoid(W_i x + U_i h + p_i*c + b_i)
            f = sigmoid(W_f x + U_f h + p_f*c + b_f)
            g = phi(W_g x + U_g h + b_g)
            c' = f*c + i*g
            o = sigmoid(W_o x + U_o h + p_o*c' + b_o)
            h' = o*phi(c')
            """,
        ),
        (
            "two stages",
            "h",
            """
            z = sigmoid(W_z x + b_z)
            r = sigmoid(W_r x + U_r h + b_r)
            h' = phi(U_h (r*h) + tanh(W_h x) + b_h)*z + h*(1 - z)
            """,
        ),
        (
            "three stages and every function",
            "h s",
            """
            a = phi(W_a x + U_a h + U_s s + b_a)
            q = exp(-relu(W_q x + U_q a + b_q))
            s' = q*s + (1 - q)*a
            m = sigmoid(U_k (q*s'*b_p) + U_l s' + p_k*q + b_p)
            h' = m*log(1 + exp(s')) + a*step(q - 0.5) - q/(2 + a*a)
            """,
        ),
        (
            "constant gates",
            "h c",
            """
            i = 1
            f = 0.5
            g = phi(W_g x + U_g h + b_g)
            c' = f*c + i*g
            h' = tanh(c')/(1 + c'**2)
            """,
        ),
        (
            "constant state and delay",
            "h c d",
            "h' = phi(W x + U h + U_c c + b)*d\nc' = 1\nd' = c",
        ),
        ("no input", "h", "h' = 0.9*phi(h) + b"),
        ("no matrix on the state", "h", "h' = p*h + W x"),
        (
            "functions of the input",
            "h",
            "h' = phi(W_a (x*x) + W_b (phi(x)) + U (phi(h))) - W_c x",
        ),
        ("matrix after matrix", "h", "h' = phi(U_b (tanh(U_a h)) + W x) + U_b (U_c h)"),
        ("shared matrix", "h", "r = sigmoid(U h + W x)\nh' = phi(U (r*h) + W x + b)*b"),
        (
            "earlier states",
            "h c",
            """
            g = sigmoid(W_g x + U_g h[t-3] + p_g*c[t-2] + b_g)
            h' = phi(W x + U h + U_d (g*h[t-2]) + b)
            c' = g*c[t-5] + (1 - g)*h[t-3]
            """,
        ),
        (
            "index of the step",
            "h",
            "r = t/3 - floor(t/3)\nh' = step(r)*h + (1 - step(r))*phi(W x + U h + 0.1*t)",
        ),
        (
            "equations of vectors alone",
            "h",
            """
            a = sigmoid(p_a)
            d = a*exp(-exp(p_b)) + sin(b_d)
            h' = d*h + (1 - a)*phi(W x + U (d*h) + b)
            """,
        ),
        (
            "two matrices on one operand",
            "h",
            "h' = phi(U_a h + U_b h + W_a x + b_a + W_b x) + U_c h + U_d h - (W_c x + W_d x)/2",
        ),
        ("output of a new state", "y h", "h' = phi(W x + U y + b)\ny' = phi(U_y h' + b_y)"),
        (
            "seven gates",
            "h",
            "\n".join(f"g{k} = sigmoid(W_{k} x + U_{k} h + b_{k})" for k in range(7))
            + "\nh' = g0*g1 - g2*g3*h + g4*g5 + g6",
        ),
    )
}


@dataclass
class Case:
    cell: Cell
    phi: str = "tanh"
    sizes: tuple[int, int, int, int] = (6, 3, 2, 5)  # T, B, I, H
    dtype: torch.dtype = torch.float64
    seed: int = 0
    scale: float = 1.0  # of the recurrent matrices and vectors
    lengths: list[int] | None = None
    carry: Tensor | None = None
    limit: float | None = None
    x: Tensor | None = None
    parameters: dict[str, Tensor] = field(init=False)
    state: dict[str, Tensor] = field(init=False)

    def __post_init__(self) -> None:
        steps, batch, inputs, hidden = self.sizes
        generator = torch.Generator().manual_seed(self.seed)

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        self.parameters = {}
        for name, parameter in self.cell.parameters.items():
            columns = {None: 1, "I": inputs, "H": hidden}[parameter.columns]
            value = draw(*parameter.shape(inputs, hidden)) * self.scale / columns**0.5
            self.parameters[name] = value.to(self.dtype)
        fixed = fixed_vectors(self.cell, hidden)
        self.parameters |= {name: value.to(self.dtype) for name, value in fixed.items()}
        first = first_states(self.cell, lambda: draw(batch, hidden))
        self.state = {name: value.to(self.dtype) for name, value in first.items()}
        if self.x is None:
            self.x = draw(steps, batch, inputs).to(self.dtype)
        self.weights = draw(steps, batch, hidden).to(self.dtype)
        self.last_weights = [draw(batch, hidden).to(self.dtype) for _ in self.cell.states]

    def run(self, engine: str, record: bool = True) -> dict[str, Tensor]:
        """Outputs, last states, all gradients and ∂L/∂s_t, by name, for a random linear loss."""
        leaves = {
            **{name: p.clone().requires_grad_() for name, p in self.parameters.items()},
            "x": self.x.clone().requires_grad_(),
            **{f"first {name}": s.clone().requires_grad_() for name, s in self.state.items()},
        }
        recorder = StateGradients() if record else None
        limit = None if self.limit is None else Limit(self.limit)
        outputs, last = select.run(
            self.cell,
            NONLINEARITIES[self.phi],
            {name: leaves[name] for name in self.parameters},
            leaves["x"],
            {name: leaves[f"first {name}"] for name in self.state},
            recorder,
            None if self.lengths is None else torch.tensor(self.lengths),
            engine,
            self.carry,
            limit,
        )
        loss = (outputs * self.weights).sum()
        for value, weight in zip(last.values(), self.last_weights, strict=True):
            loss = loss + (value * weight).sum()
        loss.backward()
        found: dict[str, Any] = {"outputs": outputs} | {f"last {n}": s for n, s in last.items()}
        for name, leaf in leaves.items():
            found[f"d {name}"] = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        if recorder is not None:
            found |= {f"d {name}_t": recorder[name] for name in self.cell.states}
        if limit is not None:
            found |= {"clipped": limit.clipped, "share": torch.tensor(limit.share)}
        return {name: value.detach() for name, value in found.items()}


def distance(a: Tensor, b: Tensor) -> float:
    """Largest difference over the largest value, or over 1; infinite where only one is finite."""
    if not torch.equal(a.isnan(), b.isnan()) or not torch.equal(a.isinf(), b.isinf()):
        return float("inf")
    if not torch.equal(a[a.isinf()], b[b.isinf()].to(a.dtype)):
        return float("inf")
    a, b = a.double().nan_to_num(0, 0, 0), b.double().nan_to_num(0, 0, 0)
    if not a.numel():
        return 0.0
    return float((a - b).abs().max() / a.abs().max().clamp(min=1.0))


def assert_agree(case: Case, tolerance: float, record: bool = True) -> None:
    expected, found = case.run("reference", record), case.run("native", record)
    for name, value in expected.items():
        assert value.shape == found[name].shape, name
        assert distance(value, found[name]) <= tolerance, name
