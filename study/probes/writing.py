"""What a trained network writes, and where it looks while it does."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from study.base.seeding import generator
from study.networks.attention import Attended
from study.networks.decoding import beam, greedy, sample
from study.networks.model import Model
from study.probes.base import PROBES
from study.tasks.base import NO_TARGET, Batch, Task, one_hot
from study.tasks.generating import GeneratingTask
from study.tasks.sketch import grey_blocks

EXAMPLES = 6
TEMPERATURES = (0.5, 1.0)
LENGTH = 400  # symbols of a text without an end
DRAWN = 4  # examples whose weights are kept, up to so many each
MOST_WEIGHTS = 20_000
_DIGITS = 4  # of a weight, in files


@dataclass(frozen=True)
class Example:
    """One sequence: what was read, what should have been written, and what was.

    ``weights`` are of each symbol that the network wrote, over what it read, of the first DRAWN that
    are not too long; ``alignment`` is the step of the input that each symbol of ``wanted`` hangs on,
    -1 for none, where the task says so.
    """

    read: list[str]
    wanted: list[str]
    written: list[str]
    by_beam: list[str] | None = None
    weights: list[list[float]] | None = None
    alignment: list[int] | None = None


@dataclass(frozen=True)
class Writing:
    """Sequences of the validation set answered greedily, and by beam search where asked for.

    ``texts``: what is sampled, by temperature. ``pictures``: grey levels, height x width, sampled at
    temperature 1, by what they are of.
    ``attention``: over the probe's symbols, told the right ones before them, the mean of the heaviest
    weight ("peak"); where the task says which step a symbol hangs on, the mean weight of that step
    ("aligned") and the mean over the weights of how many steps off they lie ("distance"): what is
    read is known by the steps after it too, so a whole diagonal may be shifted.
    """

    examples: list[Example]
    texts: dict[str, str]
    pictures: dict[str, list[list[int]]]
    attention: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> "Writing":
        examples = [Example(**example) for example in given["examples"]]
        return cls(**{**given, "examples": examples})

    def summary(self) -> dict[str, float]:
        """What is measured of the attention."""
        return dict(self.attention)


def _nothing_written(model: Model, task: Task) -> str | None:
    return None if task.writes else "unwritten"


@PROBES.register(Writing, at=("best",), why_not=_nothing_written)
@torch.no_grad()
def writing(model: Model, task: Task, batch: Batch, width: int = 1) -> Writing | None:
    """None for a task that has nothing written. ``batch`` is the probe, ``width`` that of the beam."""
    if not task.writes:
        return None
    if isinstance(task, GeneratingTask):
        attention = _attention(model, task, batch)
        if task.canvas is not None:  # no picture is wanted in every pixel
            return Writing([], {}, _pictures(model, task, batch), attention)
        examples = _examples(model, task, batch.take(slice(EXAMPLES)), width)
        return Writing(examples, {}, {}, attention)
    return Writing([], _texts(model, task, batch), {}, {})


def _examples(model: Model, task: GeneratingTask, batch: Batch, width: int) -> list[Example]:
    written = greedy(model, batch, task.answer_steps, task.end)
    searched = beam(model, batch, task.answer_steps, width, task.end)[0] if width > 1 else None
    attended = Attended()
    if model.looks:
        model(Batch(batch.inputs, written, batch.ends), attended=attended)
    aligned = task.alignment(batch)
    found = []
    for i in range(len(batch)):
        steps = len(batch.inputs) if batch.ends is None else int(batch.ends[i]) + 1
        length = int((written[:, i] != NO_TARGET).sum())
        wanted = batch.targets[:, i]
        is_drawn = attended.weights.numel() and i < DRAWN and length * steps <= MOST_WEIGHTS
        found.append(
            Example(
                read=_named(task.alphabet, batch.inputs[:steps, i].argmax(-1)),
                wanted=_named(task.answers, wanted),
                written=_named(task.answers, written[:, i]),
                by_beam=None if searched is None else _named(task.answers, searched[:, i]),
                weights=_rounded(attended.weights[:length, i, :steps]) if is_drawn else None,
                alignment=None if aligned is None else aligned[wanted != NO_TARGET, i].tolist(),
            )
        )
    return found


def _rounded(weights: Tensor) -> list[list[float]]:
    return [[round(w, _DIGITS) for w in row] for row in weights.tolist()]


def _named(names: Sequence[str] | None, symbols: Tensor) -> list[str]:
    kept = [int(s) for s in symbols if s != NO_TARGET]
    return [str(s) if names is None else names[s] for s in kept]


def _pictures(model: Model, task: GeneratingTask, batch: Batch) -> dict[str, list[list[int]]]:
    """Of each symbol that a picture may be of."""
    assert task.canvas is not None
    height, width = task.canvas
    contexts = torch.arange(task.input_size)
    asked = Batch(one_hot(contexts[None], task.input_size).to(batch.inputs), batch.targets[:0])
    draws = generator("writing", 0, "pictures")
    drawn = sample(model, asked, task.answer_steps, draws).T
    names = _named(task.alphabet, contexts)
    return {
        name: picture.view(height, width).tolist()
        for name, picture in zip(names, drawn, strict=True)
    }


def _attention(model: Model, task: GeneratingTask, batch: Batch) -> dict[str, float]:
    attended = Attended()
    model(batch, attended=attended)
    if not attended.weights.numel():
        return {}
    asked = batch.targets != NO_TARGET
    measured = {"peak": float(attended.weights.amax(-1)[asked].mean())}
    aligned = task.alignment(batch)
    if aligned is not None and bool((known := asked & (aligned >= 0)).any()):
        steps = torch.arange(attended.weights.shape[-1])
        off = (steps - aligned[..., None]).abs()
        measured["aligned"] = float((attended.weights * (off == 0)).sum(-1)[known].mean())
        measured["distance"] = float((attended.weights * off).sum(-1)[known].mean())
    return measured


def _texts(model: Model, task: Task, first: Batch) -> dict[str, str]:
    start = beginning(first)
    texts = {}
    for temperature in TEMPERATURES:
        draws = generator("writing", 0, "text", temperature)
        texts[f"{temperature:g}"] = go_on(model, task, start, draws, temperature)
    return texts


def beginning(batch: Batch) -> Batch:
    """The first symbol of the first sequence."""
    first = batch.take(slice(1))
    return Batch(first.inputs[:1], first.targets[:1])


def go_on(
    model: Model,
    task: Task,
    start: Batch,
    draws: Generator,
    temperature: float,
    length: int | None = None,
) -> str:
    """The text that one sequence begins, sampled on for ``length`` symbols: by default LENGTH, or to
    the end of what is learned by heart."""
    left = max(task.steps + 1 - len(start.inputs), 1) if task.memorized else LENGTH
    symbols = sample(model, start, length or left, draws, temperature)[:, 0]
    return task.decode([*start.inputs[:, 0].argmax(-1).tolist(), *symbols.tolist()])


def as_text(found: Writing) -> str:
    """For people to read: what was read, wanted and written, or a text at each temperature."""
    parts = []
    for example in found.examples:
        names = [*example.read, *example.wanted, *example.written]
        between = "" if all(len(name) == 1 for name in names) else " "
        lines = [("read", example.read), ("wanted", example.wanted), ("written", example.written)]
        if example.by_beam is not None:
            lines.append(("by beam", example.by_beam))
        parts.append("\n".join(f"{what:<9}{between.join(symbols)}" for what, symbols in lines))
    for temperature, text in found.texts.items():
        parts.append(f"temperature {temperature}\n\n{text}")
    if found.pictures:
        drawn = {name: torch.tensor(picture) for name, picture in found.pictures.items()}
        levels = max(2, 1 + max(int(picture.max()) for picture in drawn.values()))
        parts += ["\n".join([name, *grey_blocks(p, levels)]) for name, p in drawn.items()]
    return "\n\n".join(parts) + "\n"
