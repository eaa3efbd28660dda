"""Through how much of the past a loss is followed back to the parameters.

The outputs are the same with every rule; what differs is the gradient, or how it is computed.
"""

from collections.abc import Mapping
from itertools import chain
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Generator, Tensor

from study.engines import forward_mode, select
from study.engines.recording import Limit, StateGradients
from study.engines.transforms import is_written_down, transform
from study.equations import Cell
from study.errors import UserError
from study.nonlinearities import Nonlinearity
from study.registry import Choice, Choices

MOST_INFLUENCES = 50_000_000  # 200 MB in float32, a few times over while a step is computed


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


@CREDIT.register
class Full(Credit):
    """Back-propagation through the whole sequence. Werbos (1990)."""

    name: Literal["full"] = "full"


@CREDIT.register
class Truncated(Credit):
    """The state is carried on, the graph is cut every K steps. Williams & Peng (1990).

    Cut before steps K, 2K, …, so a loss reaches back 1 to K steps. Biased: what acts over a longer
    lag than the window is not seen, and may be of the opposite sign.
    """

    name: Literal["truncated"] = "truncated"
    window: int = Field(default=20, ge=1)

    def carry(self, steps: int, generator: Generator | None = None) -> Tensor | None:
        factors = torch.ones(steps, dtype=torch.float64)
        factors[self.window :: self.window] = 0
        return factors


@CREDIT.register
class RandomlyTruncated(Credit):
    """Cut before step t with probability c_t, else multiplied by 1/(1-c_t), so without bias.

    Tallec & Ollivier (2017), Unbiasing truncated backpropagation through time (ARTBP). ``length`` L₀
    is the expected number of steps between two cuts. ``constant``: c = 1/L₀; the factors grow
    exponentially until a cut, and so may the variance. ``bounded``: c_t = (α-1)/((α-2) L₀ + δt), δt
    the steps since the last cut; the factors grow as a power, their variance is finite for α > 3.
    The cuts are those of all sequences of a batch.
    """

    name: Literal["artbp"] = "artbp"
    schedule: Literal["bounded", "constant"] = "bounded"
    length: float = Field(default=20.0, gt=1)
    alpha: float = Field(default=4.0, gt=3)

    def carry(self, steps: int, generator: Generator | None = None) -> Tensor | None:
        draws = torch.rand(steps, generator=generator, dtype=torch.float64).tolist()
        factors, since = [1.0], 1
        for t in range(1, steps):
            chance = self.chance(since)
            is_cut = draws[t] < chance
            factors.append(0.0 if is_cut else 1 / (1 - chance))
            since = 1 if is_cut else since + 1
        return torch.tensor(factors, dtype=torch.float64)

    def chance(self, since: int) -> float:
        """c_t of a cut ``since`` steps (1, 2, …) after the last one, or after the beginning."""
        if self.schedule == "constant":
            return 1 / self.length
        return (self.alpha - 1) / ((self.alpha - 2) * self.length + since)


@CREDIT.register
class RealTime(Credit):
    """The exact gradient computed forward in time: P_t = ∂s_t/∂s_{t-1} P_{t-1} + ∂s_t/∂θ.

    Real-time recurrent learning, Williams & Zipser (1989). The gradient is that of ``full``. Its
    memory does not grow with T: for S states and n parameters B·S·H·n numbers, which must be at most
    MOST_INFLUENCES; a step takes B·(S·H)²·n multiplications, where back-propagation takes B·n.
    Gradients are of the parameters and the given state, once; not of x, and none flows back in
    time that could be recorded or limited.
    """

    name: Literal["rtrl"] = "rtrl"
    goes_back: ClassVar[bool] = False
    goes_down: ClassVar[bool] = False

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
        given = chain(parameters.values(), state.values(), [x])
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in given):
            if recorder is not None or limit is not None:
                raise UserError(
                    "rtrl carries no gradient back in time that could be recorded or limited"
                )
            if is_written_down() or transform([x, *parameters.values(), *state.values()]):
                raise UserError(
                    "rtrl computes its gradient beside torch: not within torch.compile, torch.export, "
                    "a trace, torch.func or forward-mode derivatives; credit='full' can"
                )
            if x.requires_grad:
                raise UserError(
                    "rtrl gives no gradient of its input: use it for a layer on the data"
                )
            batch, hidden = next(iter(state.values())).shape
            self.check(cell, x.shape[-1], hidden, batch)
            return forward_mode.run(cell, phi, parameters, x, state, lengths, engine)
        return select.run(cell, phi, parameters, x, state, recorder, lengths, engine)

    def check(self, cell: Cell, inputs: int, hidden: int, batch: int) -> None:
        parameters = sum(
            torch.Size(p.shape(inputs, hidden)).numel()
            for p in cell.parameters.values()
            if not p.is_fixed
        )
        states = len(cell.states)
        needed = batch * states * hidden * parameters
        if needed > MOST_INFLUENCES:
            raise UserError(
                f"rtrl keeps {batch} sequences x {states * hidden} state values x {parameters} "
                f"parameters = {needed:.1e} numbers, more than {MOST_INFLUENCES:.0e}: "
                "take fewer units or a smaller batch"
            )
