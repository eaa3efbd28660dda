"""A task that asks for any symbols at all, networks for it, and the witnesses that hold their numbers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import pytest
import torch
from reconciliation import READINGS, Reading, normal
from references import PHIS
from torch import Generator, Tensor
from writing_witness import Network

from study.networks.decoding import greedy
from study.networks.model import Model
from study.tasks import TASKS
from study.tasks.base import NO_TARGET, Batch, one_hot
from study.tasks.generating import GeneratingTask
from study.trial.config import TrialConfig
from study.trial.construction import build_model

READ, LONGEST, CLASSES = 3, 4, 3  # symbols read, symbols of the longest answer, different ones
END = 1  # neither the first nor the last


class Told(GeneratingTask):
    """Whatever a test asks for."""

    name: str = "told"
    title: ClassVar[str] = "Told"
    source: ClassVar[str] = "these tests"
    closes: bool = True

    @property
    def input_size(self) -> int:
        return READ

    @property
    def output_size(self) -> int:
        return CLASSES

    @property
    def alphabet(self) -> str:
        return "abc"

    @property
    def steps(self) -> int:
        return 5

    @property
    def answer_steps(self) -> int:
        return LONGEST

    @property
    def lag(self) -> tuple[int, int]:
        return 1, self.steps + self.answer_steps - 1

    @property
    def end(self) -> int | None:
        return END if self.closes else None


@contextmanager
def told() -> Iterator[None]:
    """The task is registered, for a while."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TASKS._things, "told", Told)
        yield


def made(seed: int = 0, scale: float = 1.0, **changes: object) -> Model:
    """float64, every number from N(0, 1/2) times ``scale``."""
    flat = {"task": "told", "model.hidden": 4, "train.engine": "reference"}
    with told():
        config = TrialConfig.from_flat(flat | {k.replace("__", "."): v for k, v in changes.items()})
        model = build_model(config).double()
    g = Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(scale * normal(g, *parameter.shape))
    return model


def witnessed(model: Model, **changes: object) -> Network:
    """The witness with the same numbers, in the same tensors."""
    flat = {k.replace("__", "."): v for k, v in changes.items()}
    cell = str(flat.get("model.cell", "lstm"))
    return Network(
        dict(model.named_parameters()),
        cell=cell,
        letters=READINGS.get(cell, Reading()).letters,
        phi=PHIS[str(flat.get("model.phi", "tanh"))],
        layers=int(str(flat.get("model.layers", 1))),
        bidirectional=bool(flat.get("model.bidirectional", False)),
        residual=bool(flat.get("model.residual", False)),
        context=str(flat.get("decoder.context", "state")),
        attention=str(flat.get("attention.name", "none")),
        score=str(flat.get("attention.score", "general")),
    )


def both(seed: int = 0, scale: float = 1.0, **changes: object) -> tuple[Model, Network]:
    model = made(seed, scale, **changes)
    return model, witnessed(model, **changes)


def drawn(
    generator: Generator,
    read: list[int],
    written: list[int],
    *,
    symbols: bool = False,
    closes: bool = True,
) -> Batch:
    """Sequences so long, answers so long: numbers or symbols read, any symbols asked for.

    ``closes``: an answer's last symbol is END, and no other one is.
    """
    steps, longest, size = max(read), max(written), len(read)
    inside = torch.arange(steps)[:, None] < torch.tensor(read)
    if symbols:
        shown = torch.randint(READ, (steps, size), generator=generator)
        inputs = one_hot(shown.where(inside, -1), READ).double()
    else:
        inputs = normal(generator, steps, size, READ) * inside[..., None]
    index, count = torch.arange(longest)[:, None], torch.tensor(written)
    asked = torch.randint(CLASSES - closes, (longest, size), generator=generator)
    if closes:
        asked = (asked + (asked >= END)).where(index != count - 1, END)
    targets = asked.where(index < count, NO_TARGET)
    ends = None if len(set(read)) == 1 else torch.tensor(read) - 1
    return Batch(inputs, targets, ends)


def singly(batch: Batch) -> list[tuple[list[Tensor], list[int]]]:
    """Each sequence, without its padding, and what it is asked for."""
    lengths = [len(batch.inputs)] * len(batch) if batch.ends is None else (batch.ends + 1).tolist()
    return [
        (
            list(batch.inputs[:length, b].unbind()),
            [y for y in batch.targets[:, b].tolist() if y != NO_TARGET],
        )
        for b, length in enumerate(lengths)
    ]


def gradients(loss: Tensor, model: Model) -> dict[str, Tensor]:
    """Of every parameter, zeros where it takes no part."""
    names, values = zip(*model.named_parameters(), strict=True)
    found = torch.autograd.grad(loss, values, allow_unused=True, materialize_grads=True)
    return dict(zip(names, found, strict=True))


def assert_close(found: Tensor, expected: Tensor, what: object = "") -> None:
    """To 1e-10 of the largest: float64, some hundred additions in another order."""
    assert found.shape == expected.shape, what
    found, expected = found.detach(), expected.detach()
    scale = expected.abs().max().clamp(min=1.0)
    difference = (found - expected).abs().max()
    assert difference <= 1e-10 * scale, (what, float(difference))


def same_gradients(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert_close(found[name], value, name)


def written(model: Model, batch: Batch, end: int | None) -> list[tuple[int, ...]]:
    """What each sequence is answered greedily, up to its end."""
    symbols = greedy(model, batch, LONGEST, end)
    return [tuple(y for y in column if y != NO_TARGET) for column in symbols.T.tolist()]
