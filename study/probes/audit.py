"""What a network's matrices and forget biases promise before anything is learned."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import sympy
import torch
from torch import Tensor, nn

from study.initializers.gates import keeper, written_out
from study.language.cell import Cell
from study.language.expressions import phi
from study.language.nonlinearities import NONLINEARITIES, Nonlinearity
from study.language.notation import PRIME
from study.networks.layer import Layer
from study.probes.base import PROBES


@dataclass(frozen=True)
class MatrixAudit:
    """One recurrent matrix U (H,H).

    ``spectral_radius`` max|λ|; ``largest_singular_value`` σ, which exceeds it where U is not normal;
    ``orthogonality_error`` ‖UᵀU - I‖_F/√H; ``gradient_bound`` γσ with γ = sup|φ'|, the most by which
    a step back can multiply the gradient's norm: below 1 suffices for it to vanish, above 1 is
    necessary for it to explode (Pascanu, Mikolov & Bengio, 2013). It is None where the state does
    not pass through φ(Uh + …) alone: gates and leaks have no such bound.
    """

    spectral_radius: float
    largest_singular_value: float
    orthogonality_error: float
    gradient_bound: float | None


@dataclass(frozen=True)
class Timescales:
    """Over the units, τ = 1 + e^b steps: how long the forget gate of bias b, at rest, keeps the state.

    An update gate, which keeps it near 0, does so for 1 + e^-b.
    """

    min: float
    median: float
    max: float


@dataclass(frozen=True)
class Audit:
    """Of each recurrent matrix, and of each layer that has a gate with a `keeper`'s timescale.

    A matrix with an entry, or a layer with a timescale, beyond floating point is left out.
    """

    matrices: dict[str, MatrixAudit]
    timescales: dict[str, Timescales]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> "Audit":
        return cls(
            matrices={name: MatrixAudit(**m) for name, m in given["matrices"].items()},
            timescales={name: Timescales(**t) for name, t in given["timescales"].items()},
        )

    def summary(self) -> dict[str, float]:
        """The largest over the matrices, the extremes over the layers; what is not there is absent."""
        values: dict[str, float] = {}
        for name in MatrixAudit.__dataclass_fields__:
            found = [getattr(m, name) for m in self.matrices.values()]
            if known := [v for v in found if v is not None]:
                values[name] = max(known)
        if scales := list(self.timescales.values()):
            values["timescale_min"] = min(s.min for s in scales)
            values["timescale_median"] = median([s.median for s in scales])
            values["timescale_max"] = max(s.max for s in scales)
        return values


@PROBES.register(Audit, at=("init",))
def audit(model: nn.Module) -> Audit:
    """Of every `Layer` in the module, in float64; names are "U_f", or "layers.0.U_f" of several."""
    layers = {name: m for name, m in model.named_modules() if isinstance(m, Layer)}
    matrices: dict[str, MatrixAudit] = {}
    timescales: dict[str, Timescales] = {}
    for path, layer in layers.items():
        prefix = f"{path}." if len(layers) > 1 else ""
        gamma = slope_bound(layer.cell, layer.phi)
        for name in layer.cell.recurrent_matrices:
            if layer.is_frozen(name):
                continue  # what reads a single step has no use for it
            u = getattr(layer, name).detach().double().cpu()
            if u.isfinite().all():
                matrices[prefix + name] = audit_matrix(u, gamma)
        if gate := keeper(layer.cell):
            b = getattr(layer, gate.bias).detach().double().cpu()
            tau = 1 + (gate.sign * (b + gate.offset)).exp()
            if tau.isfinite().all():
                timescales[prefix + gate.gate] = Timescales(
                    float(tau.min()), median(tau.tolist()), float(tau.max())
                )
    return Audit(matrices, timescales)


def audit_matrix(u: Tensor, gamma: float | None = None) -> MatrixAudit:
    """u (H,H), finite, float64; without a γ there is no bound."""
    size = u.shape[0]
    largest = float(torch.linalg.matrix_norm(u, 2))
    error = torch.linalg.matrix_norm(u.T @ u - torch.eye(size, dtype=u.dtype))
    return MatrixAudit(
        spectral_radius=float(torch.linalg.eigvals(u).abs().max()),
        largest_singular_value=largest,
        orthogonality_error=float(error) / math.sqrt(size),
        gradient_bound=None if gamma is None else gamma * largest,
    )


def slope_bound(cell: Cell, nonlinearity: Nonlinearity) -> float | None:
    """γ with ‖∂h'/∂h‖ ≤ γσ(U), for a cell h' = f(Uh + …) or h' = Uh + …; None for every other.

    A constant factor of Uh, as in tanh(2*(U h)), counts.
    """
    [state, *more] = cell.states
    reads = [p for p in cell.products.values() if p.matrix in cell.recurrent_matrices]
    if more or len(reads) != 1 or reads[0].operand != sympy.Symbol(state):
        return None
    product = reads[0].symbol
    new = written_out(cell, state + PRIME)
    if sympy.Symbol(state) in new.free_symbols:
        return None
    gamma = 1.0
    if isinstance(new, sympy.Function) and len(new.args) == 1:
        name = new.func.__name__
        if new.func == phi:
            gamma = nonlinearity.gamma
        elif name in NONLINEARITIES:
            gamma = NONLINEARITIES[name].gamma
        else:
            return None
        new = new.args[0]
    factor = new.diff(product)
    return gamma * abs(float(factor)) if factor.is_number else None
