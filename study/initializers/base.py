"""What an initializer is, and the registries of them."""

from functools import lru_cache

import torch
from torch import Generator, Tensor, nn

from study.base.errors import UserError
from study.base.registry import Choice, Choices
from study.language.cell import Cell
from study.language.forms import Form

_TRIED = 19  # units: more than a form has modules, and odd, so that no blocks fit by chance


class Initializer(Choice):
    """Fills parameters of one kind.

    One that says something about *every* matrix or vector ("each U is orthogonal") suits a cell
    that has several of them, and one that has none, so that cells can be compared under it, but not
    a cell that constrains U to be something else. One that says something about the network ("the
    state is handed on unchanged") is refused where that would not be so.
    """

    def refusal(self, cell: Cell) -> str | None:
        """Why the initializer does not suit the cell, or None when it does."""
        return None


class MatrixInitializer(Initializer):
    """Fills one matrix (rows, columns) of a layer with H hidden units."""

    def draw(self, shape: tuple[int, ...], hidden: int, generator: Generator) -> Tensor:
        """A float64 tensor of that shape."""
        raise NotImplementedError


class WholeMatrix(MatrixInitializer):
    """What it says is of the matrix as a whole, and lost where the cell constrains the matrix."""

    def refusal(self, cell: Cell) -> str | None:
        for name in cell.recurrent_matrices:
            form = cell.parameters[name].form
            if form is None or _keeps(form, self):
                continue
            said = form.text.replace("NAME", name)
            if form.is_fixed:
                return f"{said}: there is nothing to draw; leave it at uniform"
            return (
                f"{cell.name} constrains {said}, which undoes it; "
                "use uniform or xavier for its free numbers"
            )
        return None


@lru_cache(maxsize=512)
def _keeps(form: Form, initializer: MatrixInitializer) -> bool:
    """Whether a matrix so drawn is still itself once it is of the form; tried on one."""
    value = initializer.draw((_TRIED, _TRIED), _TRIED, Generator().manual_seed(0))
    module, name = nn.Module(), "tried"
    form.attach(module, name, value.clone())
    return torch.allclose(getattr(module, name), value)


class BiasInitializer(Initializer):
    """Fills a layer's biases: all at once, as those of two gates may belong together."""

    @property
    def follows_lag(self) -> bool:
        """Whether the biases depend on the task; then `for_lag` has those that can be drawn."""
        return False

    def for_lag(self, longest: int) -> "BiasInitializer":
        """For a task whose answers depend on what came at most ``longest`` steps before."""
        return self

    def draw(self, cell: Cell, hidden: int, generator: Generator) -> dict[str, Tensor]:
        """A float64 tensor (H,) for each of `biases_of`."""
        raise NotImplementedError


class VectorInitializer(Initializer):
    """Fills a layer's element-wise parameters that are no biases: peepholes, recurrent vectors, …."""

    def draw(self, cell: Cell, hidden: int, generator: Generator) -> dict[str, Tensor]:
        """A float64 tensor for each of `vectors_of`."""
        raise NotImplementedError


RECURRENT: Choices[MatrixInitializer] = Choices("initializer of U")
INPUT_WEIGHTS: Choices[MatrixInitializer] = Choices("initializer of W")
BIASES: Choices[BiasInitializer] = Choices("initializer of the biases")
VECTORS: Choices[VectorInitializer] = Choices("initializer of the vectors")


def biases_of(cell: Cell, hidden: int) -> dict[str, tuple[int, ...]]:
    """The vectors b_… of a layer with ``hidden`` units: name -> shape."""
    names = [n for n, p in cell.parameters.items() if p.columns is None and n.startswith("b")]
    return dict.fromkeys(names, (hidden,))


def vectors_of(cell: Cell, hidden: int) -> dict[str, tuple[int, ...]]:
    """The trained vectors that are no biases: name -> shape, as if none were of a form."""
    return dict.fromkeys(cell.weights, (hidden,))


def uniform(shape: tuple[int, ...], bound: float, generator: Generator) -> Tensor:
    """U[-bound, bound]."""
    return (2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1) * bound


def normal(shape: tuple[int, ...], generator: Generator) -> Tensor:
    """N(0, 1)."""
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def check_suits(cell: Cell, *initializers: Initializer) -> None:
    """Raises UserError when one of the initializers has no meaning for the cell."""
    for initializer in initializers:
        if reason := initializer.refusal(cell):
            raise UserError(f"initializer {initializer.name!r} does not suit {cell.name}: {reason}")
