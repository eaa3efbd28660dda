"""Telling one set of data from another."""

import json
from collections.abc import Iterable, Sequence
from hashlib import sha256

import torch
from torch import Tensor

from study.tasks.batch import Batch

MOST_SHOWN = 100  # sequences of a part that a fingerprint is of
FEWEST_SHOWN = 10
MOST_NUMBERS = 5_000_000  # that it is of, but for these few; a one-hot text has 200,000 a sequence


def fingerprint(parts: Iterable[tuple[str, Batch]], names: Sequence[Sequence[str]]) -> str:
    """12 hexadecimal digits of the parts' sizes, of a hundred sequences all over each (of long ones
    fewer), and of what their numbers stand for.

    Numbers count to the third decimal, as machines differ in the last ones of a scaled column.
    """
    digest = sha256(json.dumps(names).encode())
    for name, part in parts:
        digest.update(f"{name} {len(part)}".encode())
        shown = part.take(_all_over(part))
        for values in (shown.inputs, shown.targets):
            if values.is_floating_point():
                values = values.round(decimals=3) + 0.0  # which makes -0 a 0
            digest.update(values.contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def _all_over(part: Batch) -> Tensor:
    """The first sequence, the last, and some between, by whole numbers, which no machine rounds."""
    fit = MOST_NUMBERS // max(part.take(slice(1)).inputs.numel(), 1)
    count = min(len(part), MOST_SHOWN, max(fit, FEWEST_SHOWN))
    return torch.arange(count) * (len(part) - 1) // max(count - 1, 1)
