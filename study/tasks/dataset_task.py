"""Tasks whose sequences are a data set with a fixed split."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Literal

import torch

from study.base.seeding import generator
from study.tasks.batch import Batch
from study.tasks.fingerprint import fingerprint
from study.tasks.task import Task


class DatasetTask(Task):
    """A fixed data set with a fixed split.

    There is nothing to confirm on that the validation part meets the criterion: whoever stops at the
    first of many looks that meets it stops at a lucky one. So training goes on; only a task that is
    learned by heart ends at once.
    """

    def splits(self) -> Mapping[Literal["training", "validation", "test"], Batch]:
        raise NotImplementedError

    @cached_property
    def _splits(self) -> Mapping[Literal["training", "validation", "test"], Batch]:
        return self.splits()

    @property
    def ends_when_solved(self) -> bool:
        return self.memorized

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

    def confirmation(self, attempt: int) -> Iterable[Batch]:
        return []

    def test(self) -> Batch:
        return self._splits["test"]
