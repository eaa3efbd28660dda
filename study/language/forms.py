"""Parameters that are not free: one number for all units, a constrained matrix, fixed values.

Each is a parametrization in torch's sense: the layer's attribute has the full value, which is what
the engines see, and the optimizer moves the free numbers behind it, if there are any.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize


@dataclass(frozen=True)
class Form:
    """How a parameter's full value follows from its free numbers.

    ``text`` and ``latex`` have NAME for the parameter's name; ``count`` takes H as a number or a
    symbol.
    """

    @property
    def text(self) -> str:
        raise NotImplementedError

    @property
    def latex(self) -> str:
        raise NotImplementedError

    @property
    def is_closed(self) -> bool:
        """Whether the product of two such matrices is one again."""
        return False

    @property
    def is_fixed(self) -> bool:
        """Whether it has no free numbers at all: nothing to draw, nothing to train."""
        return False

    def count(self, hidden: Any) -> Any:
        """How many numbers are trained."""
        raise NotImplementedError

    def attach(self, module: nn.Module, name: str, value: Tensor) -> None:
        """Registers ``module.name``, from a full ``value`` of the unconstrained kind."""
        module.register_parameter(name, nn.Parameter(value))
        parametrize.register_parametrization(module, name, self._parametrization(len(value)))

    def _parametrization(self, hidden: int) -> nn.Module:
        raise NotImplementedError


class _Shared(nn.Module):
    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden

    def forward(self, number: Tensor) -> Tensor:
        return number.expand(self.hidden)

    def right_inverse(self, full: Tensor) -> Tensor:
        return full[:1].clone()


@dataclass(frozen=True)
class Shared(Form):
    """One trained number for all units."""

    @property
    def text(self) -> str:
        return "NAME is one trained number for all units"

    @property
    def latex(self) -> str:
        return r"NAME \in \mathbb{R}"

    def count(self, hidden: Any) -> Any:
        return 1

    def _parametrization(self, hidden: int) -> nn.Module:
        return _Shared(hidden)


class _Entries(nn.Module):
    """A matrix with some free entries, which stand in a vector, and zeros."""

    free: Tensor

    def __init__(self, free: Tensor) -> None:
        super().__init__()
        self.hidden = len(free)
        self.register_buffer("free", free.flatten().nonzero().squeeze(1), persistent=False)

    def forward(self, entries: Tensor) -> Tensor:
        flat = entries.new_zeros(self.hidden**2).index_copy(0, self.free, entries)
        return flat.view(self.hidden, self.hidden)

    def right_inverse(self, full: Tensor) -> Tensor:
        return full.flatten()[self.free]


class _Antisymmetric(_Entries):
    def __init__(self, hidden: int, diffusion: float) -> None:
        super().__init__(torch.ones(hidden, hidden, dtype=torch.bool).triu(1))
        self.diffusion = diffusion

    def forward(self, entries: Tensor) -> Tensor:
        upper = super().forward(entries)
        shrink = self.diffusion * torch.eye(self.hidden, dtype=upper.dtype, device=upper.device)
        return upper - upper.T - shrink


@dataclass(frozen=True)
class Antisymmetric(Form):
    """U = A - Aᵀ - γI with A strictly upper triangular. Chang et al. (2019), AntisymmetricRNN."""

    diffusion: float = 0.01

    @property
    def text(self) -> str:
        return f"NAME = A - Aᵀ - {self.diffusion:g} I with A strictly upper triangular"

    @property
    def latex(self) -> str:
        return rf"NAME = A - A^\top - {self.diffusion}\,I,\; A \text{{ strictly upper triangular}}"

    def count(self, hidden: Any) -> Any:
        half = hidden * (hidden - 1)
        return half // 2 if isinstance(hidden, int) else half / 2

    def _parametrization(self, hidden: int) -> nn.Module:
        return _Antisymmetric(hidden, self.diffusion)


@dataclass(frozen=True)
class Orthogonal(Form):
    """U = B exp(A) with A skew and B where U started: torch's own parametrization.

    Lezcano-Casado & Martínez-Rubio (2019), Cheap orthogonal constraints.
    """

    @property
    def text(self) -> str:
        return "NAME is orthogonal, NAMEᵀ NAME = I"

    @property
    def latex(self) -> str:
        return r"NAME^\top NAME = I"

    @property
    def is_closed(self) -> bool:
        return True

    def count(self, hidden: Any) -> Any:
        half = hidden * (hidden - 1)
        return half // 2 if isinstance(hidden, int) else half / 2

    def attach(self, module: nn.Module, name: str, value: Tensor) -> None:
        module.register_parameter(name, nn.Parameter(value))
        parametrizations.orthogonal(module, name)


def modules(hidden: int, count: int) -> Tensor:
    """(H,): the module of each unit, in ``count`` runs of units as equal as can be."""
    return torch.arange(hidden) * count // hidden


@dataclass(frozen=True)
class SlowerOnly(Form):
    """U in blocks: a module hears itself and slower modules. Koutník et al. (2014).

    Modules are in the order of `Periods`, so the matrix is block upper triangular.
    """

    modules: int

    @property
    def text(self) -> str:
        return f"NAME in {self.modules} blocks: a module hears itself and slower ones"

    @property
    def latex(self) -> str:
        return rf"NAME \text{{ block upper triangular, {self.modules} blocks}}"

    @property
    def is_closed(self) -> bool:
        return True

    def count(self, hidden: Any) -> Any:
        """For a symbol, with H a multiple of the number of modules."""
        if isinstance(hidden, int):
            return int(self._free(hidden).sum())
        return hidden**2 * (self.modules + 1) / (2 * self.modules)

    def _free(self, hidden: int) -> Tensor:
        of = modules(hidden, self.modules)
        return of[:, None] <= of

    def _parametrization(self, hidden: int) -> nn.Module:
        return _Entries(self._free(hidden))


@dataclass(frozen=True)
class Fixed(Form):
    """A value that the form says, in a buffer: saved and converted with the module, never trained."""

    @property
    def is_fixed(self) -> bool:
        return True

    def count(self, hidden: Any) -> Any:
        return 0

    def value(self, shape: Sequence[int]) -> Tensor:
        """float64, of that shape."""
        raise NotImplementedError

    def attach(self, module: nn.Module, name: str, value: Tensor) -> None:
        module.register_buffer(name, self.value(value.shape).to(value))


@dataclass(frozen=True)
class Periods(Fixed):
    """A fixed vector: 1 for the units of the first module, 2, 4, 8, … for those of the next ones."""

    modules: int

    @property
    def text(self) -> str:
        return f"NAME = 1, 2, … {2 ** (self.modules - 1)}, one for each of {self.modules} modules of units"

    @property
    def latex(self) -> str:
        return rf"NAME = 1, 2, \ldots, {2 ** (self.modules - 1)} \text{{ by module}}"

    def value(self, shape: Sequence[int]) -> Tensor:
        return (2 ** modules(shape[0], self.modules)).double()


@dataclass(frozen=True)
class HandedDown(Fixed):
    """A fixed matrix, 1/2 on the diagonal and the one above it: unit i gets the mean of i and i + 1.

    Tallec & Ollivier (2017), influence balancing.
    """

    @property
    def text(self) -> str:
        return "NAME is fixed, 1/2 on the diagonal and the one above it, else 0"

    @property
    def latex(self) -> str:
        return r"NAME = \frac{1}{2}\left(I + N\right),\; N \text{ with 1 just above the diagonal, else 0}"

    def value(self, shape: Sequence[int]) -> Tensor:
        ones = torch.ones(*shape, dtype=torch.float64)
        return 0.5 * (ones.triu() - ones.triu(2))


@dataclass(frozen=True)
class Signs(Fixed):
    """A fixed matrix or vector: 1 for the first units, -1 for the others, whatever they hear."""

    positive: int

    @property
    def text(self) -> str:
        return f"NAME is fixed, 1 for the first {self.positive} units and -1 for the others"

    @property
    def latex(self) -> str:
        return rf"NAME = 1 \text{{ for the first {self.positive} units, -1 for the others}}"

    def value(self, shape: Sequence[int]) -> Tensor:
        full = -torch.ones(*shape, dtype=torch.float64)
        full[: self.positive] = 1
        return full
