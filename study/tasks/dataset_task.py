"""Tasks whose sequences are a data set with a fixed split."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Literal

import torch

from study.base.seeding import generator
from study.tasks.batch import Batch
from study.tasks.fingerprint import fingerprint
from study.tasks.task import Task

FOURTHS = 4  # of the validation part, each of which must meet the criterion


class DatasetTask(Task):
    """A fixed data set with a fixed split."""

    def splits(self) -> Mapping[Literal["training", "validation", "test"], Batch]:
        raise NotImplementedError

    @cached_property
    def _splits(self) -> Mapping[Literal["training", "validation", "test"], Batch]:
        return self.splits()

    def check_data(self) -> None:
        self.validation()

    @cached_property
    def data_id(self) -> str:
        names = [list(n or ()) for n in (self.alphabet, self.channels, self.answers)]
        return fingerprint(self._splits.items(), names)

    def card(self) -> dict[str, object]:
        return {**super().card(), "data": self.data_id}

    def has_data_of(self, card: Mapping[str, object]) -> bool:
        return card.get("data", self.data_id) == self.data_id

    def training(self, seed: int, size: int) -> Iterator[Batch]:
        """Epochs without end, each in a fresh order; an epoch's last, smaller batch is used too."""
        stream, data = generator("training", seed), self._splits["training"]
        while True:
            for rows in torch.randperm(len(data), generator=stream).split(size):
                yield data.take(rows)

    def validation(self) -> Batch:
        return self._splits["validation"]

    def confirmation(self, attempt: int) -> Sequence[Batch]:
        """Fourths of the validation part, every fourth sequence: there is no other than the test's.

        That each meets it asks for about 2 standard errors of the whole more than the criterion, as the
        lowest of four is 1.03 of a fourth's below their mean. By less, a stop at the first of many
        looks that meets it is one at a lucky look.
        """
        whole = self.validation()
        if self.memorized or len(whole) < FOURTHS:
            return []
        return [whole.take(slice(first, None, FOURTHS)) for first in range(FOURTHS)]

    def test(self) -> Batch:
        return self._splits["test"]
