"""What a backward pass through time leaves behind when asked."""

from collections.abc import Mapping

from torch import Tensor


class StateGradients:
    """Collects ∂L/∂s_t for every state s and time t during one backward pass.

    ``recorder = StateGradients(); outputs, _ = layer(x, recorder=recorder); loss(outputs).backward()``
    fills ``recorder["h"]``, a (T,B,H) tensor: the total derivative with respect to the value of the
    state after step t, through everything computed from it later. What the layer read and gave is
    there too: ``inputs`` (T,B,I), ``start`` by state's name (B,H) and ``outputs`` (T,B,H).
    """

    inputs: Tensor
    start: Mapping[str, Tensor]
    outputs: Tensor

    def __init__(self) -> None:
        self._gradients: dict[str, Tensor] = {}

    def see(self, inputs: Tensor, start: Mapping[str, Tensor], outputs: Tensor) -> None:
        self.inputs, self.outputs = inputs.detach(), outputs.detach()
        self.start = {name: value.detach() for name, value in start.items()}

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
