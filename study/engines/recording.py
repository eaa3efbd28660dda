"""What a pass through time, and the backward pass after it, leave behind when asked."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from study.base.errors import UserError


class StateGradients:
    """Collects s_t and ∂L/∂s_t for every state s and time t of one pass and its backward pass.

    ``recorder = StateGradients(); outputs, _ = layer(x, recorder=recorder); loss(outputs).backward()``
    fills ``recorder["h"]``, a (T,B,H) tensor: the total derivative with respect to the value of the
    state after step t, through everything computed from it later. ``recorder.values("h")`` has the
    state itself, from the forward pass on. Of the native engine, what is below the smallest normal
    number (1.2e-38 in float32, 2.2e-308 in float64) is 0.
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


class Limit:
    """±value, the bound of ∂L/∂a for every pre-activation a at every step, and how often it acted.

    Graves (2013), Generating sequences with recurrent neural networks, 2.1: inside the backward pass
    through time, so that what flows on to earlier steps is bounded too. Afterwards ``clipped`` (T,)
    counts the entries beyond it at each step and ``share`` is their share of all, both of the last
    backward pass; one object for each layer. Raises UserError when the bound is not above 0.
    """

    def __init__(self, value: float) -> None:
        if not (isinstance(value, int | float) and 0 < value < float("inf")):
            raise UserError(f"limit must be a number above 0 (got {value!r})")
        self.value = float(value)
        self._counts: Tensor | None = None
        self._entries = 0

    def store(self, counts: Tensor, entries: int) -> None:
        self._counts, self._entries = counts, entries

    @property
    def clipped(self) -> Tensor:
        """(T,) whole numbers. Raises RuntimeError before the backward pass."""
        if self._counts is None:
            raise RuntimeError("nothing has been limited yet: run the backward pass first")
        return self._counts

    @property
    def share(self) -> float:
        """Of the entries within the sequences' lengths; 0 for a cell without matrices."""
        return share([self])

    @property
    def entries(self) -> int:
        """How many there were within the sequences' lengths."""
        return self._entries


def share(limits: Sequence[Limit]) -> float:
    """Of the entries of all of them, how many were beyond their limit."""
    return sum(int(limit.clipped.sum()) for limit in limits) / max(
        1, sum(limit.entries for limit in limits)
    )
