"""Answers at the steps that are read: many-to-one, many-to-many in step, and one-to-one."""

from collections.abc import Mapping, Sequence

from torch import Generator, Tensor

from study.base.errors import UserError
from study.credit import Credit
from study.engines.recording import Limit
from study.networks.attention import Attended
from study.networks.feedforward import Embedding, Perceptron, linear, through
from study.networks.layer import Layer
from study.networks.model import Model, Progress
from study.networks.recurrent import (
    Recorders,
    Recurrent,
    directions_of,
    last_outputs,
    run,
    top_of,
    width_of,
)
from study.tasks.base import Batch, Reads, one_hot


class Predictor(Model):
    """Predictions (S,B,C) for the S steps it is read at: each sequence's last one, or every one.

    ``embedding`` and ``deep`` turn the input (T,B,I) into what the layers read, ``after`` their outputs
    into what the readout reads; each is the identity when None. The readout starts as torch's linear
    layers do, uniform in 1/√H, of two directions 1/√2H, drawn from ``generator``. The backward
    direction starts at each sequence's own end. With ``reads_state`` there is no readout: predictions
    are the first numbers of the layers' outputs. Raises UserError where those are too few.
    """

    def __init__(
        self,
        layer: Recurrent,
        output_size: int,
        reads: Reads,
        generator: Generator | None = None,
        *,
        embedding: Embedding | None = None,
        deep: Perceptron | None = None,
        after: Perceptron | None = None,
        reads_state: bool = False,
    ) -> None:
        super().__init__()
        self.layer = layer
        self.reads, self.output_size = reads, output_size
        self.embedding, self.deep, self.after = embedding, deep, after
        self.both_directions = directions_of(layer) == 2
        width = width_of(layer) if after is None else after.size
        if reads_state and width < output_size:
            raise UserError(
                f"the state itself is read, {output_size} numbers of it, and there are {width}; "
                "take more units"
            )
        self.readout = None if reads_state else linear(width, output_size, generator)

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
        """There are no chances to take and there is no attention: as in `Model.forward`."""
        lengths = None
        if self.both_directions and batch.ends is not None:
            lengths = batch.ends + 1
        outputs, _ = run(
            self.layer,
            self.shown(batch.inputs),
            recorders=recorders,
            limits=limits,
            lengths=lengths,
            credit=credit,
            generator=generator,
        )
        if self.reads == "last":
            outputs = last_outputs(self.layer, outputs, batch.ends)[None]
        return self._logits(outputs)

    def shown(self, inputs: Tensor) -> Tensor:
        return through(self.deep, through(self.embedding, inputs))

    def _logits(self, outputs: Tensor) -> Tensor:
        read = through(self.after, outputs)
        return read[..., : self.output_size] if self.readout is None else self.readout(read)

    def begin(self, batch: Batch) -> tuple[Tensor, Progress]:
        lengths = None if batch.ends is None else batch.ends + 1
        outputs, states = run(self.layer, self.shown(batch.inputs), lengths=lengths)
        return self._logits(last_outputs(self.layer, outputs, batch.ends)), Progress(states)

    def proceed(self, symbols: Tensor, progress: Progress) -> tuple[Tensor, Progress]:
        """For a task whose inputs are the symbols that it asks for, one step later."""
        told = one_hot(symbols[None], self.output_size)
        shown = self.shown(told.to(next(iter(progress.states[0].values()))))
        outputs, states = run(self.layer, shown, progress.states)
        return self._logits(outputs[0]), Progress(states)

    @property
    def path(self) -> list[Layer]:
        return [top_of(self.layer)]
