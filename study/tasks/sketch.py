"""One sequence of a task and its target, drawn with characters."""

from collections.abc import Sequence
from textwrap import wrap

import torch
from torch import Tensor

from study.tasks.base import NO_TARGET, Batch, Task
from study.tasks.generating import GeneratingTask

WIDTH = 60  # steps that fit a line
_MOST_CHANNELS = 3  # drawn, where there are many more
_BARS = "▁▂▃▄▅▆▇█"
_MOST_NAMED = 20  # characters of a channel's name
_GREYS = " ░▒▓█"
_SHORTER = (60, 48, 40, 32, 24, 20, 16, 12, 10)  # lengths to draw instead of one that does not fit


def example(task: Task) -> str:
    """A training sequence, shortened by `shorter` where it would not fit a line.

    Letters or words for a one-hot input, bars from the least to the greatest value for each other
    input, of many for those that vary most here, and below them what is asked: a blank where nothing
    is. A picture is drawn in grey blocks.
    """
    drawn = shorter(task)
    batch = next(drawn.training(0, 1))
    rows = [*_inputs(drawn, batch), *_asked(drawn, batch)]
    margin = max(len(name) for name, _ in rows) + 2
    lines = [f"{name:<{margin}}{line[:WIDTH]}".rstrip() for name, line in rows]
    if drawn is not task:
        lines.append(f"(one with length {getattr(drawn, 'length', drawn.steps)})")
    elif (steps := _steps(batch)) > WIDTH and not _in_words(drawn):
        lines.append(f"(the first {WIDTH} of {steps} steps)")
    return "\n".join(lines)


def shorter(task: Task) -> Task:
    """The same task with the greatest ``length`` whose steps fit a line, if it has such."""
    if _fits(task) or "length" not in type(task).model_fields:
        return task
    for length in _SHORTER:
        try:
            made = type(task).model_validate({**task.model_dump(), "length": length})
        except ValueError:  # too short for the other parameters, and so is what comes next
            return task
        if _fits(made):
            return made
    return task


def _fits(task: Task) -> bool:
    return task.steps <= WIDTH and task.answer_steps <= WIDTH


def _steps(batch: Batch) -> int:
    return len(batch.inputs) if batch.ends is None else int(batch.ends[0]) + 1


def _inputs(task: Task, batch: Batch) -> list[tuple[str, str]]:
    shown = batch.inputs[: _steps(batch), 0]
    if task.alphabet is not None:
        symbols = [task.alphabet[i] for i in shown.argmax(-1).tolist()]
        lines = wrap(" ".join(symbols), WIDTH) if _in_words(task) else ["".join(symbols)]
        return [("" if i else "input", line) for i, line in enumerate(lines)]
    return _channels("input", shown, task.channels)


def _in_words(task: Task) -> bool:
    return any(len(name) > 1 for name in task.alphabet or ())


def _channels(
    what: str, values: Tensor, names: Sequence[str] | None = None
) -> list[tuple[str, str]]:
    """(S,C): a line each, by its name or numbered from 1 where there are several."""
    count = values.shape[1]
    if names is None:
        names = [what] if count == 1 else [f"{what} {i + 1}" for i in range(count)]
    kept = list(range(count))
    if count > _MOST_CHANNELS + 1:
        varied = values.nan_to_num().var(dim=0, correction=0)
        kept = sorted(varied.argsort(descending=True, stable=True)[:_MOST_CHANNELS].tolist())
    lines = [(_shortened(names[i]), _drawn(values[:, i])) for i in kept]
    if left := count - len(kept):
        lines.append((f"{what} …", f"and {left} more"))
    return lines


def _asked(task: Task, batch: Batch) -> list[tuple[str, str]]:
    if isinstance(task, GeneratingTask):
        return _written(task, batch)
    targets = batch.targets[:, 0]
    classes = not targets.is_floating_point()
    if task.reads == "last":
        if not classes:
            values = [f"{v:.3g}" for v in targets[0].tolist()]
            if task.answers is not None:
                values = [f"{n} {v}" for n, v in zip(task.answers, values, strict=True)]
            lines = wrap(", ".join(values), WIDTH, max_lines=_MOST_CHANNELS, placeholder=" …")
            return [("" if i else "asked at the end", line) for i, line in enumerate(lines)]
        return [("asked at the end", _named(task.answers, int(targets[0])))]
    if classes:
        asked = targets.tolist()
        return [
            ("asked", "".join(" " if c == NO_TARGET else _named(task.answers, c) for c in asked))
        ]
    return _channels("asked of the state" if task.reads_state else "asked", targets)


def _written(task: GeneratingTask, batch: Batch) -> list[tuple[str, str]]:
    symbols = batch.targets[:, 0][batch.targets[:, 0] != NO_TARGET]
    if task.canvas is not None:
        lines = grey_blocks(symbols.unflatten(0, task.canvas), task.output_size)
    else:
        text = task.decode(symbols.tolist())
        if len(text) > len(symbols):  # words
            lines = wrap(text, WIDTH)
        else:
            lines = [text[i : i + WIDTH] for i in range(0, len(text), WIDTH)]
    return [("" if i else "asked after it", line) for i, line in enumerate(lines)]


def grey_blocks(picture: Tensor, levels: int) -> list[str]:
    """Of grey levels from 0 (height,width): a line a row, two characters a pixel to make it square."""
    shades = (picture * (len(_GREYS) - 1) / (levels - 1)).round().long().tolist()
    return ["".join(2 * _GREYS[shade] for shade in row) for row in shades]


def _named(answers: Sequence[str] | None, number: int) -> str:
    return str(number) if answers is None else answers[number]


def _shortened(name: str) -> str:
    return name if len(name) <= _MOST_NAMED else f"{name[: _MOST_NAMED - 2]} …"


def _drawn(channel: Tensor) -> str:
    """Bars; of what never changes a height would say nothing."""
    if bool((channel == channel[0]).all()):
        return f"{float(channel[0]):.3g} at every step"
    return bars(channel)


def bars(values: Tensor) -> str:
    """One block a value, its height from the least to the greatest; a blank for NaN."""
    known = values[~values.isnan()]
    low, high = known.min(), known.max()
    place = (values - low) / (high - low) if high > low else torch.zeros_like(values)
    heights = (place.nan_to_num() * (len(_BARS) - 1)).round().long().tolist()
    missing = values.isnan().tolist()
    return "".join(
        " " if gone else _BARS[height] for gone, height in zip(missing, heights, strict=True)
    )
