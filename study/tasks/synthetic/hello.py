"""The toy of the lectures: predict the next letter of "hello"."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import log
from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch.nn import functional

from study.tasks import TASKS
from study.tasks.base import Batch, DatasetTask, LabelTask


@TASKS.register
class Hello(LabelTask, DatasetTask):
    """After each letter of "hello", which comes next?

    One sequence, one-hot over its distinct letters: h e l l in, e l l o out. Training, validation
    and test are the same word: it is memorized, nothing generalizes. Karpathy (2015), and many
    lectures since. A lag of one step: l is followed by l the first time and by o the second.

    Chance: the entropy of the letters asked for; of e, l, l, o 1.040 nats and half of them right.
    Knowing the current letter but nothing before it leaves the entropy of the next given that one,
    here half of ln 2.
    """

    title: ClassVar[str] = "The next letter of one word"
    source: ClassVar[str] = (
        "Karpathy (2015), The unreasonable effectiveness of recurrent neural networks"
    )
    reads: ClassVar[Literal["last", "every"]] = "every"
    causal: ClassVar[bool] = True
    loss_name: ClassVar[str] = "cross-entropy (nats)"
    metric: ClassVar[str | None] = "accuracy"

    name: Literal["hello"] = "hello"
    word: str = Field(
        default="hello", min_length=3, max_length=100, description="what is memorized"
    )
    solved_at: float = Field(default=1.0, gt=0, le=1, description="share of letters predicted")

    @model_validator(mode="after")
    def _has_something_to_predict(self) -> "Hello":
        if self.lag[1] < 1:
            raise ValueError(
                "word must have a letter that different ones follow, as l is in hello; else the "
                "current letter tells the next"
            )
        return self

    @property
    def input_size(self) -> int:
        return len(set(self.word))

    @property
    def output_size(self) -> int:
        return len(set(self.word))

    @property
    def alphabet(self) -> Sequence[str]:
        return sorted(set(self.word))

    @property
    def answers(self) -> Sequence[str]:
        return self.alphabet

    @property
    def steps(self) -> int:
        return len(self.word) - 1

    @property
    def lag(self) -> tuple[int, int]:
        """The longest that two equal stretches of letters run before different next letters."""
        word, longest = self.word, 0
        for end in range(1, len(word)):
            for other in range(1, end):
                same = 0
                while same < other and word[end - 1 - same] == word[other - 1 - same]:
                    same += 1
                if word[end] != word[other]:
                    longest = max(longest, same)
        return 0, longest

    @property
    def memorized(self) -> bool:
        return True

    @property
    def chance_loss(self) -> float:
        return _entropy(Counter(self.word[1:]))

    @property
    def chance_metric(self) -> float:
        return max(Counter(self.word[1:]).values()) / self.steps

    @property
    def plateaus(self) -> Mapping[str, float]:
        before = Counter(self.word[:-1])
        level = _entropy(Counter(pairwise(self.word))) - _entropy(before)
        ambiguous = len(set(pairwise(self.word))) > len(before)
        return {"only the current letter known": level} if ambiguous else {}

    @property
    def solved_rule(self) -> str:
        return f"at least {self.solved_at:.0%} of the letters predicted"

    def solved(self, scores: Mapping[str, float]) -> bool:
        return scores["accuracy"] >= self.solved_at

    def splits(self) -> Mapping[Literal["training", "validation", "test"], Batch]:
        letters = self.alphabet
        symbols = torch.tensor([letters.index(letter) for letter in self.word])
        shown = functional.one_hot(symbols[:-1], len(letters)).float()
        batch = Batch(shown[:, None], symbols[1:, None])
        return {"training": batch, "validation": batch, "test": batch}


def _entropy(counts: Counter[str] | Counter[tuple[str, str]]) -> float:
    """Nats."""
    total = counts.total()
    return sum(n / total * log(total / n) for n in counts.values())
