"""First all is read, then an answer is written: one-to-many, and many-to-many of other lengths."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Generator, Tensor

from study.credit import Credit
from study.engines.recording import Limit
from study.networks.attention import Attended, AttentionLayer
from study.networks.feedforward import Embedding, Perceptron, linear, through
from study.networks.layer import Layer
from study.networks.model import Context, Model, Progress
from study.networks.recurrent import (
    Recorders,
    Recurrent,
    States,
    last_outputs,
    layers_of,
    run,
    top_of,
)
from study.tasks.base import NO_TARGET, Batch, one_hot

Handover = Literal["state", "input", "both", "attention"]


class EncoderDecoder(Model):
    """An encoder reads (T,B,I), a decoder writes up to S symbols of C.

    Sutskever, Vinyals & Le (2014): the decoder's layers start with the last states of the encoder's,
    ``context = "state"``; of two directions the forward one's. ``"input"``: the encoder's last outputs
    are read at every step of the decoder beside the previous symbol; ``"both"`` does both, as Cho et
    al. (2014) do, who show them to the readout too; with ``"attention"`` what was read is known by
    looking there alone. A context vector, one step to read, is many-to-many with T = 1.

    The decoder is told the previous symbol: the right one with probability ``forcing`` in training
    (teacher forcing; below 1 as in Bengio et al., 2015, scheduled sampling, at a rate that stays), else
    the one it found most probable itself; otherwise always the right one, so that predictions are those
    of a given answer. Before the first there is none, a zero vector. Encoder and decoder have layers of
    one cell and size, as many. ``embedding`` and ``deep`` turn the input into what the encoder's layers
    read, ``target_embedding`` and ``target_deep`` the previous symbol into what the decoder's read, the
    encoder's last outputs coming in between; ``after`` turns outputs into what the readout reads. Each
    is the identity when None.
    """

    def __init__(
        self,
        encoder: Recurrent,
        decoder: Recurrent,
        output_size: int,
        generator: Generator | None = None,
        *,
        context: Handover = "state",
        forcing: float = 1.0,
        attention: AttentionLayer | None = None,
        embedding: Embedding | None = None,
        deep: Perceptron | None = None,
        target_embedding: Embedding | None = None,
        target_deep: Perceptron | None = None,
        after: Perceptron | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.context, self.forcing, self.attention = context, forcing, attention
        self.embedding, self.deep = embedding, deep
        self.target_embedding, self.target_deep, self.after = target_embedding, target_deep, after
        width = decoder.hidden_size if after is None else after.size
        self.readout = linear(width, output_size, generator)

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
        """As `Model.forward`; ``recorders`` and ``limits`` are for passes in which the right symbols
        are told, all at once."""
        reading = len(layers_of(self.encoder))
        how: dict[str, Any] = {"recorders": recorders, "credit": credit, "generator": generator}
        progress = self._encode(batch, limits=limits[:reading], **how)
        if draws is not None and self.forcing < 1:
            return self._free_at_times(batch.targets, progress, draws, attended)
        previous = torch.cat([self._nothing(batch), self._one_hot(batch.targets[:-1])])
        outputs, _ = self._decode(previous, progress, limits=limits[reading:], **how)
        return self._logits(outputs, progress, draws, attended)

    def shown(self, inputs: Tensor) -> Tensor:
        return through(self.deep, through(self.embedding, inputs))

    def begin(self, batch: Batch) -> tuple[Tensor, Progress]:
        return self._next(self._nothing(batch), self._encode(batch))

    def proceed(self, symbols: Tensor, progress: Progress) -> tuple[Tensor, Progress]:
        return self._next(self._one_hot(symbols[None]), progress)

    @property
    def looks(self) -> bool:
        return self.attention is not None

    @property
    def path(self) -> list[Layer]:
        return [top_of(self.encoder), top_of(self.decoder)]

    def policy_loss(
        self, attended: Attended, predictions: Tensor, targets: Tensor
    ) -> Tensor | None:
        """See `AttentionLayer.policy_loss`."""
        return (
            self.attention.policy_loss(attended, predictions, targets) if self.attention else None
        )

    def settle(self, attended: Attended) -> None:
        if self.attention is not None:
            self.attention.settle(attended)

    def _encode(self, batch: Batch, **how: Any) -> Progress:
        x = self.shown(batch.inputs)
        steps = torch.arange(len(x), device=x.device)[:, None]
        if batch.ends is None:
            lengths, mask = None, torch.ones(len(x), len(batch), dtype=torch.bool, device=x.device)
        else:
            lengths, mask = batch.ends + 1, steps <= batch.ends
        memory, states = run(self.encoder, x, lengths=lengths, **how)
        summary = last_outputs(self.encoder, memory, batch.ends)
        return Progress(self._handed_over(states), Context(memory, mask, summary))

    def _handed_over(self, states: States) -> States:
        directions = len(states) // len(layers_of(self.decoder))
        forward = states[::directions]
        if self.context in ("state", "both"):
            return forward
        return [{name: torch.zeros_like(v) for name, v in state.items()} for state in forward]

    def _decode(self, previous: Tensor, progress: Progress, **how: Any) -> tuple[Tensor, States]:
        """Previous symbols (S,B,C), one-hot or zero for none -> outputs (S,B,H), last states."""
        assert progress.context is not None
        x = through(self.target_embedding, previous)
        if self.context in ("input", "both"):
            x = torch.cat([x, progress.context.summary.expand(len(x), -1, -1)], dim=-1)
        return run(self.decoder, through(self.target_deep, x), progress.states, **how)

    def _logits(
        self,
        outputs: Tensor,
        progress: Progress,
        draws: Generator | None = None,
        attended: Attended | None = None,
    ) -> Tensor:
        assert progress.context is not None
        if self.attention is not None:
            context = progress.context
            outputs = self.attention(outputs, context.memory, context.mask, draws, attended)
        return self.readout(through(self.after, outputs))

    def _next(self, previous: Tensor, progress: Progress) -> tuple[Tensor, Progress]:
        outputs, states = self._decode(previous, progress)
        return self._logits(outputs, progress)[0], Progress(states, progress.context)

    def _free_at_times(
        self, targets: Tensor, progress: Progress, draws: Generator, attended: Attended | None
    ) -> Tensor:
        """Step by step, for what is told depends on what was written; predictions (S,B,C)."""
        states, previous = progress.states, torch.full_like(targets[0], NO_TARGET)
        looked: list[Attended] = []
        predictions: list[Tensor] = []
        for right in targets:
            at = Progress(states, progress.context)
            outputs, states = self._decode(self._one_hot(previous[None]), at)
            looked.append(Attended())
            predictions.append(self._logits(outputs, at, draws, looked[-1]))
            forced = torch.rand(right.shape, generator=draws) < self.forcing
            previous = torch.where(forced, right, predictions[-1][0].argmax(-1))
        if attended is not None and self.attention is not None:
            attended.join(looked)
        return torch.cat(predictions)

    def _nothing(self, batch: Batch) -> Tensor:
        return self.readout.weight.new_zeros(1, len(batch), self.readout.out_features)

    def _one_hot(self, symbols: Tensor) -> Tensor:
        return one_hot(symbols, self.readout.out_features).to(self.readout.weight)
