"""Symbols: as a one-hot code for a network, and as a drawing shows them."""

import torch
from torch import Tensor

RARE = "·"  # in a drawing, all that is not kept apart
LONGEST_WORD = 40  # characters in a drawing


def one_hot(symbols: Tensor, count: int) -> Tensor:
    """(T,B) -> (T,B,count) in float32; zeros where the symbol is negative."""
    shown = torch.zeros(*symbols.shape, count, device=symbols.device)
    return shown.scatter_(-1, symbols.clamp(min=0)[..., None], (symbols >= 0)[..., None].float())


def legible(unit: str) -> str:
    """A character or word as a drawing has it: a line break is ↵, what has no width a dot."""
    if unit == "\n":
        return "↵"
    if len(unit) > LONGEST_WORD:
        unit = f"{unit[: LONGEST_WORD - 1]}…"
    return unit if unit.isprintable() else RARE
