"""First all is read, then an answer is written: one-to-many, and many-to-many of other lengths."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Generator, Tensor

from study.credit import Credit
from study.engines.recording import Limit
from study.feedforward import Embedding, Perceptron, linear, through
from study.layer import Layer
from study.models.attention import Attended, Look
from study.models.base import Context, Model, Progress
from study.models.recurrent import (
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


class Transducer(Model):
    """An encoder reads (T,B,I), a decoder writes up to S symbols of C.

    Sutskever, Vinyals & Le (2014): the decoder's layers start with the last states of the encoder's,
    ``context = "state"``; of two directions the forward one's. Cho et al. (2014): the encoder's last
    outputs are read at every step of the decoder beside the symbol before, ``"input"``; ``"both"`` does
    both, and with ``"attention"`` what was read is known by looking there alone. A context vector,
    one step to read, is many-to-many with T = 1.

    Before each symbol the decoder is told the one before, the right one with probability ``forcing``
    in training (teacher forcing; Bengio et al., 2015, scheduled sampling), else the one it found most
    probable itself; otherwise always the right one, so that predictions are those of a given answer.
    Before the first it is told nothing, a zero vector. Encoder and decoder have layers of one cell and
    size, as many. ``embedding`` and ``deep`` turn the input into what the encoder's layers read,
    ``told_embedding`` and ``told_deep`` what the decoder is told into what its layers read, the
    summary of what was read coming in between; ``after`` turns outputs into what the readout reads.
    Each is the identity when None.
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
        look: Look | None = None,
        embedding: Embedding | None = None,
        deep: Perceptron | None = None,
        told_embedding: Embedding | None = None,
        told_deep: Perceptron | None = None,
        after: Perceptron | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.context, self.forcing, self.look = context, forcing, look
        self.embedding, self.deep = embedding, deep
        self.told_embedding, self.told_deep, self.after = told_embedding, told_deep, after
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
        progress = self._read(batch, limits=limits[:reading], **how)
        if draws is not None and self.forcing < 1:
            return self._at_times_on_its_own(batch.targets, progress, draws, attended)
        told = torch.cat([self._nothing(batch), self._one_hot(batch.targets[:-1])])
        outputs, _ = self._write(told, progress, limits=limits[reading:], **how)
        return self._answer(outputs, progress, draws, attended)

    def shown(self, inputs: Tensor) -> Tensor:
        return through(self.deep, through(self.embedding, inputs))

    def begin(self, batch: Batch) -> tuple[Tensor, Progress]:
        return self._next(self._nothing(batch), self._read(batch))

    def proceed(self, symbols: Tensor, progress: Progress) -> tuple[Tensor, Progress]:
        return self._next(self._one_hot(symbols[None]), progress)

    @property
    def path(self) -> list[Layer]:
        return [top_of(self.encoder), top_of(self.decoder)]

    def policy_loss(
        self, attended: Attended, predictions: Tensor, targets: Tensor
    ) -> Tensor | None:
        """See `Look.policy_loss`."""
        return self.look.policy_loss(attended, predictions, targets) if self.look else None

    def _read(self, batch: Batch, **how: Any) -> Progress:
        x = self.shown(batch.inputs)
        steps = torch.arange(len(x), device=x.device)[:, None]
        if batch.ends is None:
            lengths, there = None, torch.ones(len(x), len(batch), dtype=torch.bool, device=x.device)
        else:
            lengths, there = batch.ends + 1, steps <= batch.ends
        memory, states = run(self.encoder, x, lengths=lengths, **how)
        summary = last_outputs(self.encoder, memory, batch.ends)
        return Progress(self._handed_over(states), Context(memory, there, summary))

    def _handed_over(self, states: States) -> States:
        directions = len(states) // len(layers_of(self.decoder))
        forward = states[::directions]
        if self.context in ("state", "both"):
            return forward
        return [{name: torch.zeros_like(v) for name, v in state.items()} for state in forward]

    def _write(self, told: Tensor, progress: Progress, **how: Any) -> tuple[Tensor, States]:
        """told (S,B,C), one-hot, zero where nothing was written -> outputs (S,B,H), last states."""
        assert progress.context is not None
        x = through(self.told_embedding, told)
        if self.context in ("input", "both"):
            x = torch.cat([x, progress.context.summary.expand(len(x), -1, -1)], dim=-1)
        return run(self.decoder, through(self.told_deep, x), progress.states, **how)

    def _answer(
        self,
        outputs: Tensor,
        progress: Progress,
        draws: Generator | None = None,
        attended: Attended | None = None,
    ) -> Tensor:
        assert progress.context is not None
        if self.look is not None:
            context = progress.context
            outputs = self.look(outputs, context.memory, context.there, draws, attended)
        return self.readout(through(self.after, outputs))

    def _next(self, told: Tensor, progress: Progress) -> tuple[Tensor, Progress]:
        outputs, states = self._write(told, progress)
        return self._answer(outputs, progress)[0], Progress(states, progress.context)

    def _at_times_on_its_own(
        self, targets: Tensor, progress: Progress, draws: Generator, attended: Attended | None
    ) -> Tensor:
        """Step by step, for what is told depends on what was written; predictions (S,B,C)."""
        states, told = progress.states, torch.full_like(targets[0], NO_TARGET)
        looked: list[Attended] = []
        predictions: list[Tensor] = []
        for right in targets:
            at = Progress(states, progress.context)
            outputs, states = self._write(self._one_hot(told[None]), at)
            looked.append(Attended())
            predictions.append(self._answer(outputs, at, draws, looked[-1]))
            forced = torch.rand(right.shape, generator=draws) < self.forcing
            told = torch.where(forced, right, predictions[-1][0].argmax(-1))
        if attended is not None and self.look is not None:
            attended.join(looked)
        return torch.cat(predictions)

    def _nothing(self, batch: Batch) -> Tensor:
        return self.readout.weight.new_zeros(1, len(batch), self.readout.out_features)

    def _one_hot(self, symbols: Tensor) -> Tensor:
        return one_hot(symbols, self.readout.out_features).to(self.readout.weight)
