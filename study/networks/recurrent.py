"""One recurrent layer or several, run alike."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from study.engines.recording import Limit, StateGradients
from study.networks.layer import Layer
from study.networks.stack import Stack

Recurrent = Layer | Stack
States = list[dict[str, Tensor]]  # of each layer in the order of `layers_of`, by name (B,H)
Recorders = Mapping[Layer, StateGradients]


def layers_of(recurrent: Recurrent) -> list[Layer]:
    """From the bottom up; of two directions the forward one first."""
    return [module for module in recurrent.modules() if isinstance(module, Layer)]


def top_of(recurrent: Recurrent) -> Layer:
    """The layer that is read; of two directions the forward one."""
    return recurrent.top if isinstance(recurrent, Stack) else recurrent


def width_of(recurrent: Recurrent) -> int:
    """H, of two directions 2H."""
    return recurrent.hidden_size * directions_of(recurrent)


def directions_of(recurrent: Recurrent) -> int:
    return recurrent.directions if isinstance(recurrent, Stack) else 1


def run(
    recurrent: Recurrent,
    x: Tensor,
    states: States | None = None,
    *,
    recorders: Recorders | None = None,
    limits: Sequence[Limit] = (),
    lengths: Tensor | None = None,
    **credit: Any,
) -> tuple[Tensor, States]:
    """x (T,B,I) -> outputs (T,B,H or 2H) and each layer's last state.

    ``limits`` are none or one for each layer, ``recorders`` for some of them; the rest as in
    `Layer.forward`.
    """
    recorders = recorders or {}
    if isinstance(recurrent, Stack):
        outputs, last = recurrent(
            x,
            states,
            recorders=[recorders.get(layer) for layer in layers_of(recurrent)],
            limits=limits or None,
            lengths=lengths,
            **credit,
        )
        return outputs, last
    outputs, state = recurrent(
        x,
        states[0] if states else None,
        recorder=recorders.get(recurrent),
        limit=limits[0] if limits else None,
        lengths=lengths,
        **credit,
    )
    return outputs, [state]


def last_outputs(recurrent: Recurrent, outputs: Tensor, ends: Tensor | None) -> Tensor:
    """(T,B,H or 2H) -> (B,H or 2H), what each direction puts out once it has read all of a sequence.

    The forward one's output at the sequence's last step, the backward one's at its first, as is usual
    with torch; at the last step the backward one has seen that step alone.
    """
    each = torch.arange(outputs.shape[1], device=outputs.device)
    last = outputs[-1] if ends is None else outputs[ends, each]
    if directions_of(recurrent) == 1:
        return last
    size = recurrent.hidden_size
    return torch.cat([last[:, :size], outputs[0, :, size:]], dim=-1)
