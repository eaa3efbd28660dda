"""Character language modelling."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from study.base.errors import UserError
from study.tasks import TASKS
from study.tasks.base import RARE, Batch, DatasetTask, LabelTask, accuracy, legible
from study.tasks.real import corpora
from study.tasks.real.corpora import Split
from study.tasks.real.lazy import LazyBatch

STRETCHES = 10  # of a long validation part, evenly spaced
CHUNK = 10_000_000  # characters counted at once, to bound memory


@TASKS.register
class Characters(LabelTask, DatasetTask):
    """Which character comes next in a text?

    One-hot characters, the most frequent ones of the training part and one class for all others.
    A text is cut into windows of ``length`` steps, every character predicted once; each window
    starts from the initial state, so that bits per character are somewhat above those of work that
    carries the state on. Of a long validation part ten stretches are read, the same ones for every
    length that divides them. Out of the box the source code of Python's standard library, split by
    file; its text differs from one version of Python to the next. ``text8`` and ``enwik8`` (90, 5
    and 5 million bytes) and ``ptb`` (three files) in their usual splits; ``files`` is any text. A file
    with a blank after each character and _ for a blank, as Penn Treebank is for characters, is read
    without these: "t h e _ c a t" is "the cat".

    Chance: the entropy of single characters in the training part. Knowing only the current
    character leaves the entropy of the next one given that. The lags are those of language: a word
    within 10 steps, a bracket or an indentation within hundreds. Graves (2013), section 3.
    """

    title: ClassVar[str] = "Character language modelling"
    source: ClassVar[str] = (
        "Graves (2013), Generating sequences with recurrent neural networks; splits of text8, enwik8"
        " and Penn Treebank after Mikolov et al. (2012), Subword language modeling"
    )
    reads: ClassVar[Literal["last", "every"]] = "every"
    causal: ClassVar[bool] = True
    loss_name: ClassVar[str] = "cross-entropy (nats per character)"
    metric: ClassVar[str | None] = "bits"

    name: Literal["characters"] = "characters"
    corpus: Literal["python", "files", "ptb", "text8", "enwik8"] = Field(
        default="python", description="python needs no files, the others task.path"
    )
    path: str = Field(default="", description="the text file, or the folder of the files")
    pattern: str = Field(default="*.txt", description="which files of a folder, for corpus files")
    length: int = Field(default=100, ge=1, le=100_000, description="steps a window")
    vocabulary: int = Field(default=256, ge=2, le=4096, description="most characters kept apart")
    validated: int = Field(
        default=100_000, ge=1, description="most characters of validation predicted, all over it"
    )
    solved_below: float = Field(default=2.5, gt=0, description="validation bits per character")

    @property
    def _text(self) -> "Text":
        return _load(self.corpus, self.path, self.pattern, self.vocabulary)

    @property
    def input_size(self) -> int:
        return self._text.size

    @property
    def output_size(self) -> int:
        return self._text.size

    @property
    def symbolic(self) -> bool:
        return True  # without looking at the text

    @property
    def alphabet(self) -> Sequence[str]:
        """In a drawing a line break is ↵, and what is not kept apart or has no width a dot."""
        return [RARE, *(legible(chr(code)) for code in self._text.characters.tolist())]

    def encode(self, text: str) -> list[int]:
        codes = text.encode() if self._of_bytes else map(ord, text)
        places = {code: i for i, code in enumerate(self._text.characters.tolist(), 1)}
        return [places.get(code, 0) for code in codes]

    def unknown(self, text: str) -> str:
        return "".join(letter for letter in dict.fromkeys(text) if 0 in self.encode(letter))

    def decode(self, symbols: Sequence[int]) -> str:
        codes = [int(self._text.characters[s - 1]) if s else None for s in symbols]
        if self._of_bytes:
            return bytes(ord("?") if c is None else c for c in codes).decode(errors="replace")
        return "".join("\N{REPLACEMENT CHARACTER}" if c is None else chr(c) for c in codes)

    @property
    def _of_bytes(self) -> bool:
        return self.corpus in ("text8", "enwik8")

    @property
    def answers(self) -> Sequence[str]:
        return self.alphabet

    @property
    def steps(self) -> int:
        return self.length

    @property
    def lag(self) -> tuple[int, int]:
        return 0, self.steps - 1

    @property
    def chance_loss(self) -> float:
        return self._text.entropy

    @property
    def chance_metric(self) -> float:
        return self.chance_loss / math.log(2)

    @property
    def plateaus(self) -> Mapping[str, float]:
        level = self._text.conditional_entropy
        return {"only the current character known": level} if 0 < level < self.chance_loss else {}

    @property
    def solved_rule(self) -> str:
        return f"below {self.solved_below:g} bits per character"

    def solved(self, scores: Mapping[str, float]) -> bool:
        return scores["bits"] < self.solved_below

    @property
    def solved_loss(self) -> float:
        return self.solved_below * math.log(2)  # the loss is in nats

    def splits(self) -> Mapping[Literal["training", "validation", "test"], Batch]:
        windows = {split: self._windows(split) for split in self._text.splits}
        windows["validation"] = self._spread(windows["validation"])
        return {split: self._batch(windows) for split, windows in windows.items()}

    def _windows(self, split: Split) -> Tensor:
        symbols = self._text.splits[split]
        if len(symbols) <= self.length:
            raise UserError(
                f"the {split} part of the text has {len(symbols)} characters, too few for a window "
                f"of {self.length} and one more; shorten task.length or take a longer text"
            )
        return symbols.unfold(0, self.length + 1, self.length)  # (windows, T+1), a view

    def _spread(self, every: Tensor) -> Tensor:
        """Of the validation windows those of some stretches, the same for every length that fills them.

        So lengths are judged on the same characters.
        """
        symbols = self._text.splits["validation"]
        if len(symbols) - 1 <= self.validated:
            return every
        stretch = max(self.validated // STRETCHES, self.length)
        count = max(min(self.validated // stretch, STRETCHES), 1)
        starts = torch.from_numpy(np.linspace(0, len(symbols) - 1 - stretch, count).round()).long()
        within = torch.arange(0, stretch - self.length + 1, self.length)
        places = (starts[:, None] + within).flatten()
        return symbols[places[:, None] + torch.arange(self.length + 1)]

    def _batch(self, windows: Tensor) -> Batch:
        size = self._text.size

        def make(rows: Tensor) -> Batch:
            symbols = windows[rows].T.long()
            return Batch(functional.one_hot(symbols[:-1], size).float(), symbols[1:])

        return LazyBatch(len(windows), make)

    def scores(self, predictions: Tensor, targets: Tensor) -> dict[str, float]:
        loss = float(self.loss(predictions, targets))
        return {
            "loss": loss,
            "bits": loss / math.log(2),
            "accuracy": accuracy(predictions, targets),
        }


@dataclass(frozen=True)
class Text:
    """Symbols of the three parts: 0 is whatever is not among the ``size`` - 1 characters kept."""

    splits: Mapping[Split, Tensor]  # (characters) each, uint8 or int16
    characters: np.ndarray  # code points of symbols 1, 2, …

    @property
    def size(self) -> int:
        return len(self.characters) + 1

    @cached_property
    def frequencies(self) -> np.ndarray:
        counts = _counts(self.splits["training"].numpy(), self.size)
        return counts / counts.sum()

    @cached_property
    def entropy(self) -> float:
        return _entropy(self.frequencies)

    @cached_property
    def conditional_entropy(self) -> float:
        """H(next | current) = H(current, next) - H(current), in nats, in the training part."""
        symbols, pairs = self.splits["training"].numpy(), np.zeros(self.size**2, dtype=np.int64)
        for start in range(0, len(symbols) - 1, CHUNK):
            part = symbols[start : start + CHUNK + 1].astype(np.int64)
            pairs += np.bincount(part[:-1] * self.size + part[1:], minlength=len(pairs))
        first = pairs.reshape(self.size, self.size).sum(axis=1)
        return _entropy(pairs / pairs.sum()) - _entropy(first / first.sum())


def _counts(symbols: np.ndarray, size: int) -> np.ndarray:
    counts = np.zeros(size, dtype=np.int64)
    for start in range(0, len(symbols), CHUNK):
        counts += np.bincount(symbols[start : start + CHUNK], minlength=size)
    return counts


def _entropy(frequencies: np.ndarray) -> float:
    there = frequencies[frequencies > 0]
    return float(-(there * np.log(there)).sum())


@lru_cache(maxsize=2)
def _load(corpus: str, path: str, pattern: str, vocabulary: int) -> Text:
    match corpus:
        case "python":
            if path:
                raise UserError(
                    "task.path is for text of your own; set task.corpus as well, to 'files', 'ptb', "
                    "'text8' or 'enwik8'"
                )
            codes = corpora.library()
        case "files":
            codes = corpora.files(path, pattern)
        case "ptb":
            codes = corpora.penn_treebank(path)
        case _:
            codes = corpora.hutter(corpus, path)
    for split, part in codes.items():
        if len(part) < 2:
            raise UserError(f"the {split} part of the text has {len(part)} characters")
    largest = int(max(part.max() for part in codes.values()))
    counts = _counts(codes["training"], largest + 1)
    seen = np.flatnonzero(counts)
    if len(seen) < 2:
        raise UserError("the training part of the text is one character over and over")
    kept = seen[np.lexsort((seen, -counts[seen]))][:vocabulary]
    table = np.zeros(largest + 1, dtype=np.uint8 if len(kept) < 256 else np.int16)
    table[kept] = np.arange(1, len(kept) + 1)
    return Text({split: torch.from_numpy(table[part]) for split, part in codes.items()}, kept)
