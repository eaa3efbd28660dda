"""What training, probes and decoding ask of a network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Generator, Tensor, nn

from study.credit import Credit
from study.engines.recording import Limit
from study.networks.attention import Attended
from study.networks.layer import Layer
from study.networks.recurrent import Recorders, States
from study.tasks.base import Batch


@dataclass(frozen=True)
class Context:
    """What was read: ``memory`` (T,B,M), every step's outputs, ``mask`` (T,B), true within each sequence,
    and ``summary`` (B,M), the outputs once all is read."""

    memory: Tensor
    mask: Tensor
    summary: Tensor

    def take(self, rows: Tensor) -> "Context":
        return Context(self.memory[:, rows], self.mask[:, rows], self.summary[rows])


@dataclass(frozen=True)
class Progress:
    """How far writing has come: the states of the layers that write, and what was read if they
    go on looking at it."""

    states: States
    context: Context | None = None

    def take(self, rows: Tensor) -> "Progress":
        """Of some sequences, each as often as it is named."""
        return Progress(self._taken(rows), self.context and self.context.take(rows))

    def exchange(self, rows: Tensor) -> "Progress":
        """Of as many, of which each goes on from another one that has read the same."""
        return Progress(self._taken(rows), self.context)

    def _taken(self, rows: Tensor) -> States:
        return [{name: value[rows] for name, value in state.items()} for state in self.states]


class Model(nn.Module):
    """Recurrent layers and what is around them."""

    def forward(
        self,
        batch: Batch,
        *,
        recorders: Recorders | None = None,
        limits: Sequence[Limit] = (),
        credit: str | Mapping[str, object] | Credit = "full",
        generator: Generator | None = None,
        draws: Generator | None = None,
        attended: Attended | None = None,
    ) -> Tensor:
        """Predictions (S,B,C).

        ``recorders`` are for some of `layers`, ``limits`` none or one for each of them; ``credit``
        and its ``generator`` as in `Layer.forward`. With ``draws``, as in training, a network that
        takes chances takes them. ``attended`` is left what attention did, where there is attention.
        """
        raise NotImplementedError

    def shown(self, inputs: Tensor) -> Tensor:
        """(T,B,I) -> what the first layer reads, (T,B,D)."""
        raise NotImplementedError

    def begin(self, batch: Batch) -> tuple[Tensor, Progress]:
        """What is read: the logits (B,C) of the first symbol to write, and where that leads.

        Targets are not looked at.
        """
        raise NotImplementedError

    def proceed(self, symbols: Tensor, progress: Progress) -> tuple[Tensor, Progress]:
        """One symbol (B,) is written: the logits (B,C) of the next."""
        raise NotImplementedError

    def policy_loss(
        self, attended: Attended, predictions: Tensor, targets: Tensor
    ) -> Tensor | None:
        """What to add to the loss for what cannot be differentiated; None: nothing."""
        return None

    def settle(self, attended: Attended) -> None:
        """The update after that pass was made: what the network remembers of it beside its weights."""

    @property
    def looks(self) -> bool:
        """Whether what is read is reached from each step that writes, past the states in between."""
        return False

    @property
    def path(self) -> list[Layer]:
        """The layers whose states carry the signal from the first step to the last, in that order.

        Of several layers the top, of two directions the forward one.
        """
        raise NotImplementedError

    @property
    def layers(self) -> list[Layer]:
        """From the bottom up; of two directions the forward one first; what writes comes last."""
        return [module for module in self.modules() if isinstance(module, Layer)]

    @property
    def top(self) -> Layer:
        """The layer whose outputs are read."""
        return self.path[-1]

    def parameter_count(self) -> int:
        """Trained numbers; a constrained matrix counts those that it has left."""
        within = {id(p) for layer in self.layers for p in layer.parameters()}
        others = (p for p in self.parameters() if id(p) not in within and p.requires_grad)
        return sum(p.numel() for p in others) + sum(part.parameter_count() for part in self.layers)
