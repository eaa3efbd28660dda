"""What a task is: what is asked of its sequences, what chance achieves, and when it is solved."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Literal

from torch import Tensor

from study.base.errors import UserError
from study.base.registry import Choice
from study.tasks.batch import Batch
from study.tasks.measures import accuracy, cross_entropy

TEST_SEQUENCES = 10_000

# When a task's answers are given: after the last step of a sequence, at every step, or as a sequence
# of their own that is written after it.
Reads = Literal["last", "every", "generated"]


class Task(Choice):
    """A problem with a known lag between cause and effect.

    Predictions are (S,B,C) tensors, one for each step that the model is read at: the last step of
    every sequence (``reads = "last"``, S = 1), every step (``"every"``, S = T), or each of up to S
    further steps that write a sequence of their own (``"generated"``: see `GeneratingTask`).
    ``causal``: inputs show the answers to earlier steps, which a network that reads backward too
    would only look up. ``reads_state``: predictions are the first C numbers of the layers' outputs,
    with nothing trained in between. A constant answer would be for a bias to learn; so chance is then
    the loss of a state that stays at zero, and the floor that of the source's own network at its best.
    """

    title: ClassVar[str]
    source: ClassVar[str]
    reads: ClassVar[Reads]
    loss_name: ClassVar[str]
    metric: ClassVar[str | None] = None  # the name of what is reported beside the loss
    most_tested: ClassVar[int] = TEST_SEQUENCES  # fewer where an alphabet makes sequences large
    causal: ClassVar[bool] = False
    reads_state: ClassVar[bool] = False
    needs_files: ClassVar[bool] = False  # at its defaults; nothing is fetched unless asked

    @property
    def ends_when_solved(self) -> bool:
        """Whether training ends once the criterion holds; else it uses its updates, and what is judged are
        the parameters of the best validation loss."""
        return True

    @property
    def input_size(self) -> int:
        raise NotImplementedError

    @property
    def output_size(self) -> int:
        raise NotImplementedError

    @property
    def steps(self) -> int:
        """T, of the longest sequence."""
        raise NotImplementedError

    @property
    def answer_steps(self) -> int:
        """S, the steps with a prediction, of the longest sequence."""
        return 1 if self.reads == "last" else self.steps

    @property
    def lag(self) -> tuple[int, int]:
        """Fewest and most steps from the earliest input that an answer depends on to the answer."""
        raise NotImplementedError

    @property
    def alphabet(self) -> Sequence[str] | None:
        """A name for each input of a one-hot code, a character or a word; None for inputs that are
        numbers."""
        return None

    @property
    def channels(self) -> Sequence[str] | None:
        """A name for each input that is a number; None where they are numbered."""
        return None

    @property
    def symbolic(self) -> bool:
        """Whether inputs are a one-hot code, which can be embedded."""
        return self.alphabet is not None

    @property
    def answers(self) -> Sequence[str] | None:
        """A name for each class, or for each value that is asked; None where they are numbered."""
        return None

    @property
    def writes(self) -> bool:
        """Whether a trained network can be asked to write: an answer, or on and on."""
        if self.reads == "generated":
            return True
        return self.causal and self.symbolic and self.input_size == self.output_size

    def encode(self, text: str) -> list[int]:
        """The symbols of an input. Raises UserError, with the known ones, for any other."""
        names = self.alphabet or ()
        for letter in text:
            if letter not in names:
                raise UserError(
                    f"task {self.name!r} reads no {letter!r}; it reads {''.join(names)}"
                )
        return [names.index(letter) for letter in text]

    def unknown(self, text: str) -> str:
        """The characters of an input that are read as one, the class of all that are not kept apart."""
        return ""

    def decode(self, symbols: Sequence[int]) -> str:
        """What is written, as text."""
        names = [str(s) if self.answers is None else self.answers[s] for s in symbols]
        return ("" if all(len(name) == 1 for name in names) else " ").join(names)

    @property
    def memorized(self) -> bool:
        """Whether the task is a few sequences to be learned by heart, the same in all data sets."""
        return False

    @property
    def chance_loss(self) -> float:
        """Expected loss of the best prediction that ignores the input; derived in the docstring."""
        raise NotImplementedError

    @property
    def chance_metric(self) -> float | None:
        return None

    @property
    def floor_loss(self) -> float:
        """Expected loss of the best prediction there is; above 0 where not all can be foreseen."""
        return 0.0

    @property
    def plateaus(self) -> Mapping[str, float]:
        """Loss levels between chance and solved at which partial solutions sit."""
        return {}

    def partly(self, batch: Batch) -> Mapping[str, Tensor]:
        """What tells a part of the answers to a batch, by name: (S,B,·) numbers. See `baselines`."""
        return {}

    @property
    def solved_rule(self) -> str:
        """The criterion in words."""
        raise NotImplementedError

    def solved(self, scores: Mapping[str, float]) -> bool:
        """Whether scores measured on held-out sequences meet the criterion."""
        raise NotImplementedError

    @property
    def solved_loss(self) -> float | None:
        """The level to which the loss must fall, where that alone is the criterion; else None."""
        return getattr(self, "solved_below", None)

    @property
    def solved_metric(self) -> float | None:
        """The level that ``metric`` must reach, where that alone is the criterion; else None."""
        return getattr(self, "solved_at", None)

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Mean over steps and sequences, a scalar."""
        raise NotImplementedError

    def scores(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        """``loss`` and the task's other measures."""
        return {"loss": float(self.loss(predictions, targets))}

    def training(self, seed: int, size: int) -> Iterator[Batch]:
        """Mini-batches without end."""
        raise NotImplementedError

    def validation(self) -> Batch:
        """The same sequences for every trial, so that trials compare."""
        raise NotImplementedError

    def confirmation(self, attempt: int) -> Iterable[Batch]:
        """What the criterion must hold on as well, each by itself, once validation meets it.

        Of many looks at the validation part one may be lucky; so these are of no look before, more than
        the validation part has, and of the test part none. ``attempt`` counts from 0 how often that was
        asked in a trial. Empty for a task with nothing to draw anew. Asked where training
        `ends_when_solved`.
        """
        raise NotImplementedError

    def test(self) -> Batch:
        raise NotImplementedError

    def beyond(self, factor: float) -> "tuple[Task, Batch] | None":
        """The same task ``factor`` times as long, and test sequences of it; None where it has no such
        length, or would show or ask for other things."""
        return None

    def check_data(self) -> None:
        """Raises UserError for data that cannot be used; asked for before anything is written."""

    @property
    def remarks(self) -> Sequence[str]:
        """What to know before its numbers are trusted, a line each."""
        return ()

    def has_data_of(self, card: Mapping[str, object]) -> bool:
        """Whether this task's data are those that an earlier `card` is of, as far as it says."""
        return True

    def card(self) -> dict[str, object]:
        """What a reader of results needs to know about the task, as JSON can hold it."""
        return {
            "name": self.name,
            "title": self.title,
            "length": getattr(self, "length", self.steps),
            "steps": self.steps,
            "lag": list(self.lag),
            "loss": self.loss_name,
            "chance_loss": self.chance_loss,
            "floor_loss": self.floor_loss,
            "plateaus": dict(self.plateaus),
            "solved": self.solved_rule,
            "solved_loss": self.solved_loss,
            "solved_metric": self.solved_metric,
            "metric": self.metric,
            "chance_metric": self.chance_metric,
        }


class LabelTask(Task):
    """Targets are class numbers: cross-entropy, and the share that the most active output gets right."""

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(predictions, targets)

    def scores(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        return {
            "loss": float(self.loss(predictions, targets)),
            "accuracy": accuracy(predictions, targets),
        }
