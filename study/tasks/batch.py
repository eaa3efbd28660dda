"""Some sequences of a task, and what is asked of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Sequences and what is asked of them.

    ``inputs`` (T,B,I). ``targets`` is (S,B) class numbers or (S,B,C) values for the S steps at which
    the model is read; where nothing is asked at a step they are NO_TARGET or NaN. Of a generated
    sequence they are its symbols, NO_TARGET beyond its end. ``ends`` (B,), when sequences differ in
    length, is the index of each one's last step; inputs after it are zero and never read.
    """

    inputs: Tensor
    targets: Tensor
    ends: Tensor | None = None

    def __len__(self) -> int:
        return self.inputs.shape[1]

    def take(self, rows: Tensor | slice) -> "Batch":
        """Some of the sequences."""
        ends = None if self.ends is None else self.ends[rows]
        return Batch(self.inputs[:, rows], self.targets[:, rows], ends)

    @staticmethod
    def joined(batches: Sequence["Batch"]) -> "Batch":
        """All the sequences of several."""
        ends = [batch.ends for batch in batches if batch.ends is not None]
        return Batch(
            torch.cat([batch.inputs for batch in batches], dim=1),
            torch.cat([batch.targets for batch in batches], dim=1),
            torch.cat(ends) if ends else None,
        )

    def to(self, dtype: torch.dtype) -> "Batch":
        """With floating-point tensors in that precision."""
        targets = self.targets.to(dtype) if self.targets.is_floating_point() else self.targets
        return Batch(self.inputs.to(dtype), targets, self.ends)
