"""`longlag sample`: what a trained network writes."""

from dataclasses import dataclass

import torch

from study.base.errors import UserError
from study.base.seeding import generator
from study.networks.decoding import beam, greedy, sample
from study.networks.model import Model
from study.probes.writing import beginning, go_on
from study.tasks import TASKS
from study.tasks.base import NO_TARGET, Batch, Task, one_hot
from study.tasks.generating import GeneratingTask
from study.tasks.sketch import grey_blocks


@dataclass(frozen=True)
class Request:
    """What is to be written: a continuation of ``prompt``, or the answer to it.

    ``temperature`` None takes what is most probable, by beam search where ``beam`` is above 1; a
    text that goes on and on has a temperature of 1 then, for what is most probable soon repeats
    itself. ``length`` is the most symbols; None for as many as the task's answers have, or its one sequence.
    """

    prompt: str = ""
    temperature: float | None = None
    length: int | None = None
    seed: int = 0
    beam: int = 1


@torch.no_grad()
def written(task: Task, model: Model, request: Request) -> str:
    """What the network writes. Raises UserError where the task has nothing written, or the prompt
    is not one of its inputs."""
    if not task.writes:
        writing = ", ".join(name for name in TASKS if TASKS.build(name).writes)
        raise UserError(
            f"task {task.name!r} has nothing written: its answers are no symbols that are read "
            f"again; give the id of a run on one of {writing}"
        )
    if isinstance(task, GeneratingTask):
        return _answer(task, model, request)
    if request.beam > 1:
        raise UserError("beam search looks for the best answer; a text that goes on has none")
    start = _prompt(task, request.prompt) if request.prompt else beginning(task.validation())
    draws = generator("writing", request.seed, "sample")
    temperature = 1.0 if request.temperature is None else request.temperature
    return go_on(model, task, start, draws, temperature, request.length)


def remarks(task: Task, request: Request) -> list[str]:
    """What whoever asked should know of an answer that is written all the same."""
    told = []
    if unknown := task.unknown(request.prompt):
        told.append(
            f"{unknown!r} of the prompt was not kept apart in training; the network reads it as it "
            "reads all that is rare"
        )
    given = len(task.encode(request.prompt)) if request.prompt else 0
    if isinstance(task, GeneratingTask) and given > task.steps:
        told.append(
            f"the prompt has {given} symbols, more than the {task.steps} of the longest in training; "
            f"an answer ends after {request.length or task.answer_steps}, or as many as --length says"
        )
    return told


def _answer(task: GeneratingTask, model: Model, request: Request) -> str:
    if not request.prompt:
        raise UserError(
            f"task {task.name!r} answers something: give it with --prompt, made of "
            f"{''.join(task.alphabet or ())!r}"
        )
    if request.beam > 1 and request.temperature is not None:
        raise UserError("an answer is drawn at a temperature or searched by a beam, not both")
    batch = _prompt(task, request.prompt)
    steps = request.length or task.answer_steps
    if request.temperature is not None:
        draws = generator("writing", request.seed, "sample")
        symbols = sample(model, batch, steps, draws, request.temperature, task.end)
    elif request.beam > 1:
        symbols, _ = beam(model, batch, steps, request.beam, task.end)
    else:
        symbols = greedy(model, batch, steps, task.end)
    if task.canvas is not None:
        height, width = task.canvas
        drawn = symbols.new_zeros(height * width)
        drawn[: len(symbols)] = symbols[: len(drawn), 0]
        return "\n".join(grey_blocks(drawn.view(height, width), task.output_size))
    return task.decode([s for s in symbols[:, 0].tolist() if s not in (NO_TARGET, task.end)])


def _prompt(task: Task, text: str) -> Batch:
    symbols = torch.tensor(task.encode(text))[:, None]
    if task.steps == 1 and len(symbols) > 1:
        raise UserError(f"task {task.name!r} reads one symbol, not {text!r}")
    return Batch(one_hot(symbols, task.input_size), torch.empty(0, 1, dtype=torch.long))
