"""The exact gradient, carried forward in time."""

from collections.abc import Mapping
from itertools import chain
from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor

from study.base.errors import UserError
from study.credit import forward_mode
from study.credit.base import CREDIT, Credit
from study.engines import select
from study.engines.recording import Limit, StateGradients
from study.engines.transforms import is_written_down, transform
from study.language.cell import Cell
from study.language.nonlinearities import Nonlinearity

MOST_INFLUENCES = 50_000_000  # 200 MB in float32, a few times over while a step is computed


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
