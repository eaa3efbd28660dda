"""What a pass through time, and the backward pass after it, leave behind when asked."""

from collections.abc import Mapping

import torch
from torch import Tensor


class StateGradients:
    """Collects s_t and ∂L/∂s_t for every state s and time t of one pass and its backward pass.

    ``recorder = StateGradients(); outputs, _ = layer(x, recorder=recorder); loss(outputs).backward()``
    fills ``recorder["h"]``, a (T,B,H) tensor: the total derivative with respect to the value of the
    state after step t, through everything computed from it later. ``recorder.values("h")`` has the
    state itself, from the forward pass on.
    """

    def __init__(self) -> None:
        self._gradients: dict[str, Tensor] = {}
        self._values: dict[str, Tensor] = {}
        self._start: dict[str, Tensor] = {}

    def store(self, state: str, gradients: Tensor) -> None:
        self._gradients[state] = gradients

    def store_values(self, start: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
        """The states before the first step (B,H), and after every step (T,B,H), by name."""
        self._start = {name: value.detach() for name, value in start.items()}
        self._values = {name: value.detach() for name, value in values.items()}

    @property
    def states(self) -> tuple[str, ...]:
        return tuple(self._gradients)

    def __getitem__(self, state: str) -> Tensor:
        """(T,B,H). Raises RuntimeError before the backward pass."""
        if state not in self._gradients:
            raise RuntimeError(f"no gradient of state {state!r} yet: run the backward pass first")
        return self._gradients[state]

    def values(self, state: str) -> Tensor:
        """(T,B,H), the state after each step, zero beyond a sequence's length.

        It shares the memory of the pass, which its backward pass still reads: do not write to it.
        Raises RuntimeError before the pass.
        """
        if state not in self._values:
            raise RuntimeError(f"no values of state {state!r} yet: run the layer first")
        return self._values[state]

    def before(self, state: str) -> Tensor:
        """(T,B,H), the state before each step. A copy. Raises RuntimeError before the pass."""
        values = self.values(state)
        return torch.cat([self._start[state][None], values[:-1]])
