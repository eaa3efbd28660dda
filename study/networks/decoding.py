"""Writing a sequence with a trained network: greedily, by beam search, or by chance."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from study.networks.model import Model
from study.tasks.base import NO_TARGET, Batch

Choose = Callable[[Tensor], Tensor]  # logits (B,C) -> symbols (B,)


def greedy(model: Model, batch: Batch, steps: int, end: int | None = None) -> Tensor:
    """(S,B) symbols, each the most probable one after those before; NO_TARGET follows ``end``."""
    return _one_by_one(model, batch, steps, end, lambda logits: logits.argmax(-1))


def sample(
    model: Model,
    batch: Batch,
    steps: int,
    generator: Generator,
    temperature: float = 1.0,
    end: int | None = None,
) -> Tensor:
    """(S,B) symbols, each drawn from softmax(logits/temperature); NO_TARGET follows ``end``.

    Near 0 the most probable one is as good as certain, 1 is what the network believes.
    """

    def choose(logits: Tensor) -> Tensor:
        scaled = (logits.double() - logits.amax(-1, keepdim=True).double()) / temperature
        return torch.multinomial(scaled.softmax(-1), 1, generator=generator)[:, 0]

    return _one_by_one(model, batch, steps, end, choose)


@torch.no_grad()
def beam(
    model: Model, batch: Batch, steps: int, width: int, end: int | None = None
) -> tuple[Tensor, Tensor]:
    """(S,B) symbols of the most probable sequence found, and its log-probability (B,), float64.

    After Sutskever, Vinyals & Le (2014): the ``width`` most probable beginnings are kept at every step;
    those that have ended keep their places, where there they are set aside. Probabilities are not
    normalized by length.
    """
    size = len(batch)
    logits, progress = model.begin(batch)
    classes = logits.shape[-1]
    device = logits.device
    rows = torch.arange(size, device=device)[:, None]  # (B,1): whose the kept beginnings are
    totals = torch.zeros(size, 1, dtype=torch.float64, device=device)
    written = torch.empty(size, 1, 0, dtype=torch.long, device=device)
    ended = torch.zeros(size, 1, dtype=torch.bool, device=device)
    for step in range(steps):
        kept = totals.shape[1]
        each = logits.double().log_softmax(-1).view(size, kept, classes)
        # What has ended goes on in one way only, at no cost; that way is called its first class.
        each = each.masked_fill(ended[..., None], -torch.inf)
        each[..., 0] = torch.where(ended, 0.0, each[..., 0])
        sums = (totals[..., None] + each).flatten(1)
        totals, best = sums.topk(min(width, sums.shape[1]), dim=1)
        parent, symbol = best // classes, best % classes
        ended = ended.gather(1, parent)
        symbol = symbol.masked_fill(ended, NO_TARGET)
        before = written.gather(1, parent[..., None].expand(-1, -1, step))
        written = torch.cat([before, symbol[..., None]], dim=-1)
        if end is not None:
            ended = ended | (symbol == end)
        if step + 1 == steps or bool(ended.all()):
            break
        # A beam never leaves its sequence, so what was read need be repeated only as beams multiply.
        move = progress.exchange if parent.shape[1] == kept else progress.take
        progress = move((rows * kept + parent).flatten())
        logits, progress = model.proceed(symbol.flatten(), progress)
    first = written[:, 0].T
    beyond = first.new_full((steps - len(first), size), NO_TARGET)
    return torch.cat([first, beyond]), totals[:, 0]


@torch.no_grad()
def _one_by_one(model: Model, batch: Batch, steps: int, end: int | None, choose: Choose) -> Tensor:
    logits, progress = model.begin(batch)
    written = torch.full((steps, len(batch)), NO_TARGET, device=logits.device)
    ended = torch.zeros(len(batch), dtype=torch.bool, device=logits.device)
    for step in range(steps):
        symbols = choose(logits).masked_fill(ended, NO_TARGET)
        written[step] = symbols
        if end is not None:
            ended = ended | (symbols == end)
        if step + 1 == steps or bool(ended.all()):
            break
        logits, progress = model.proceed(symbols, progress)
    return written
