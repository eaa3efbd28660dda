"""Tasks whose answer is a sequence of its own: one-to-many, and many-to-many of other lengths."""

from typing import ClassVar

import torch
from torch import Tensor

from study.tasks.base import (
    NO_TARGET,
    Batch,
    Reads,
    Task,
    cross_entropy_where_asked,
    mean_of_sequences,
    share_all_right,
)


class GeneratingTask(Task):
    """What is read is answered by a sequence of symbols, written one a step.

    Before each the network is told those before it, as they should be (teacher forcing) or as it
    wrote them. Inputs of one step are a context vector: one-to-many. Targets are (S,B) class numbers;
    where sequences differ in length each closes with ``end``, and NO_TARGET follows. A lag is counted
    over the T steps read and then those written: from the last input to the first answer it is 1.

    ``accuracy`` is the share of symbols that are right when each is told the right ones before it, as
    of a language model; ``exact`` that of sequences in which all are. A network that writes what it
    finds most probable then writes these and no others: as long as all is right, what it is told is
    what it wrote.
    """

    reads: ClassVar[Reads] = "generated"
    loss_name: ClassVar[str] = "cross-entropy (nats per symbol)"
    metric: ClassVar[str | None] = "exact"

    @property
    def answer_steps(self) -> int:
        """S, of the longest answer, its end included."""
        raise NotImplementedError

    @property
    def end(self) -> int | None:
        """The symbol that closes an answer; None where all are equally long."""
        return None

    @property
    def canvas(self) -> tuple[int, int] | None:
        """Height and width, where the answers are the grey levels of a picture, row by row."""
        return None

    def alignment(self, batch: Batch) -> Tensor | None:
        """(S,B): the step of the input that each symbol hangs on, -1 where it hangs on no single
        one; None where the task does not say.
        """
        return None

    def card(self) -> dict[str, object]:
        return super().card() | {"written": self.answer_steps}

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy_where_asked(predictions, targets)

    def scores(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        asked, right = targets != NO_TARGET, predictions.argmax(-1) == targets
        return {
            "loss": float(self.loss(predictions, targets)),
            "accuracy": float(mean_of_sequences(right.double(), asked)),
            "exact": share_all_right(right, asked),
        }


def prefix_chance(weights: Tensor, answers: Tensor) -> float:
    """Cross-entropy of the best prediction that knows what was written before, but no input.

    It is -Σ n μ log(μ / Σ n μ) over groups of n different ``answers`` with the same weight μ a symbol, an
    answer's probability over its length. None may be the beginning of another: then Σ μ of the answers
    that begin alike, divided by the same of one symbol fewer, is each symbol's best prediction, and
    in the sum over an answer's symbols all but the first and last of these cancel.
    """
    total = (answers * weights).sum()
    return float(-(answers * torch.special.xlogy(weights, weights / total)).sum())
