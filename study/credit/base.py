"""What a credit-assignment rule is, and the registry of them."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Generator, Tensor

from study.base.registry import Choice, Choices
from study.engines import select
from study.engines.recording import Limit, StateGradients
from study.language.cell import Cell
from study.language.nonlinearities import Nonlinearity


class Credit(Choice):
    """Runs a cell over a sequence in such a way that ``backward`` gives the rule's gradient.

    ``goes_back`` says whether a gradient passes from step to step that can be recorded or limited,
    ``goes_down`` whether one passes to the layer's input, as a layer below it needs.
    """

    goes_back: ClassVar[bool] = True
    goes_down: ClassVar[bool] = True

    def run(
        self,
        cell: Cell,
        phi: Nonlinearity,
        parameters: Mapping[str, Tensor],
        x: Tensor,
        state: Mapping[str, Tensor],
        *,
        generator: Generator | None = None,
        recorder: StateGradients | None = None,
        lengths: Tensor | None = None,
        engine: str = "auto",
        limit: Limit | float | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """As `study.engines.select.run`. Draws, if any, come from ``generator`` (torch's when None).

        What a ``recorder`` holds is the rule's estimate of ∂L/∂s_t.
        """
        carry = self.carry(x.shape[0], generator)
        return select.run(cell, phi, parameters, x, state, recorder, lengths, engine, carry, limit)

    def carry(self, steps: int, generator: Generator | None = None) -> Tensor | None:
        """(T,) factors of the gradient that passes from step t to the states before; None: all 1."""
        return None

    def check(self, cell: Cell, inputs: int, hidden: int, batch: int) -> None:
        """Raises UserError where the rule would take too much for a cell of this size."""


CREDIT: Choices[Credit] = Choices("credit assignment")
