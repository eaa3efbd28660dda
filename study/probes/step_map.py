"""One step of a network under a constant input, as a map of its state."""

from collections.abc import Mapping

import torch
from torch import Tensor

from study.engines.derivatives.linearization import linearize
from study.engines.intermediates import intermediates
from study.language.cell import Cell
from study.language.notation import PRIME
from study.probes.visits import Visits


class StepMap:
    """s -> F(s, x) for states s (n,N), N = H times the number of ``cell.variables``, one after another.

    Where a cell reads a state from several steps back, the steps between are part of the state as well.
    Here they hold what the state holds: so they do at a fixed point, and what F does to them is no more
    than to hand them on.
    """

    def __init__(self, visited: Visits, x: Tensor) -> None:
        """x (I,)."""
        layer = visited.layer
        self.cell, self.phi, self.hidden = layer.cell, layer.phi, layer.hidden_size
        self._parameters, self._x = visited.parameters, x
        self._held = held(self.cell)

    def __call__(self, s: Tensor) -> Tensor:
        values = intermediates(self.cell, self.phi, self._parameters, *self._at(s))
        return torch.cat([values[name + PRIME] for name in self.cell.variables], dim=-1)

    def jacobian(self, s: Tensor) -> Tensor:
        """(n,N,N), [b,i,j] = ∂F_i/∂s_j where the steps between change with the state."""
        blocks = self._blocks(s)
        rows = []
        for new in self.cell.variables:
            of = {old: blocks[new, old] for old in self.cell.variables}
            for copy, source in self._held.items():
                of[source] = of[source] + blocks[new, copy]
            rows.append(torch.cat([of[old] for old in self.cell.variables], dim=-1))
        return torch.cat(rows, dim=-2)

    def whole_jacobian(self, s: Tensor) -> Tensor:
        """(n,M,M), of all ``cell.states``: the linearization of the network's step."""
        blocks, names = self._blocks(s), self.cell.states
        rows = [torch.cat([blocks[new, old] for old in names], dim=-1) for new in names]
        return torch.cat(rows, dim=-2)

    def by_name(self, s: Tensor) -> dict[str, Tensor]:
        """(n,N) -> (n,H) for each of ``cell.variables``."""
        return dict(zip(self.cell.variables, s.split(self.hidden, dim=-1), strict=True))

    def _at(self, s: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        state = self.by_name(s)
        state |= {copy: state[source] for copy, source in self._held.items()}
        return self._x.expand(len(s), -1), state

    def _blocks(self, s: Tensor) -> Mapping[tuple[str, str], Tensor]:
        return linearize(self.cell, self.phi, self._parameters, *self._at(s)).blocks()


def held(cell: Cell) -> dict[str, str]:
    """The states that hand on an earlier value of another one, and which."""
    handed = {a.target.removesuffix(PRIME): str(a.expression) for a in cell.assignments}
    found = {}
    for name in cell.states[len(cell.variables) :]:
        source = name
        while source not in cell.variables:
            source = handed[source]
        found[name] = source
    return found
