"""What a backward pass through time leaves behind when asked."""

from torch import Tensor

from study.errors import UserError


class StateGradients:
    """Collects ∂L/∂s_t for every state s and time t during one backward pass.

    ``recorder = StateGradients(); outputs, _ = layer(x, recorder=recorder); loss(outputs).backward()``
    fills ``recorder["h"]``, a (T,B,H) tensor: the total derivative with respect to the value of the
    state after step t, through everything computed from it later.
    """

    def __init__(self) -> None:
        self._gradients: dict[str, Tensor] = {}

    def store(self, state: str, gradients: Tensor) -> None:
        self._gradients[state] = gradients

    @property
    def states(self) -> tuple[str, ...]:
        return tuple(self._gradients)

    def __getitem__(self, state: str) -> Tensor:
        """(T,B,H). Raises RuntimeError before the backward pass."""
        if state not in self._gradients:
            raise RuntimeError(f"no gradient of state {state!r} yet: run the backward pass first")
        return self._gradients[state]


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
        return int(self.clipped.sum()) / max(1, self._entries)
