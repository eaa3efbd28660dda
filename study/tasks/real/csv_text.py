"""Classification of the texts of a CSV file."""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from study.base.errors import UserError
from study.tasks import TASKS
from study.tasks.base import RARE, Batch, legible
from study.tasks.real.classification import MOST_CLASSES, Classification, stratified
from study.tasks.real.files import existing, missing, quoted
from study.tasks.real.lazy import LazyBatch
from study.tasks.real.tables import Row, Table

WORD = re.compile(r"\w+|[^\w\s]")
MOST_STEPS = 500_000_000  # of all texts, each as long as the longest: 1 GB
HELD_OUT_SHARE = 0.1  # each for validation and for test


@TASKS.register
class CsvText(Classification):
    """Which label has a text, once it is read to its end?

    A CSV file (.tsv: tabs) with a header, a column of texts and one of labels, such as film reviews
    and their sentiment. Words in lower case and punctuation marks, or characters, one-hot: the most
    frequent of the training part and one class for all others; only the first ``length`` of a text
    are read. A text that occurs again is used once, with its first label; then of every class a tenth
    validates and a tenth tests, in one fixed random choice, the same for every length. Of texts that
    are the same once cut to the length one is trained on, and none if it is held out. A sentiment may
    hang on a word anywhere: lags up to the length.

    Chance: the entropy of the labels' frequencies in training. Protocol after Maas et al. (2011).
    """

    title: ClassVar[str] = "Labels of texts"
    source: ClassVar[str] = "after Maas et al. (2011), Learning word vectors for sentiment analysis"

    name: Literal["csv-text"] = "csv-text"
    path: str = Field(default="", description="the CSV file")
    text: str = Field(default="text", description="the column of the texts")
    label: str = Field(default="label", description="the column of the labels")
    unit: Literal["word", "character"] = Field(default="word", description="what a step reads")
    vocabulary: int = Field(default=1000, ge=2, le=4096, description="most units kept apart")
    length: int = Field(default=200, ge=1, le=100_000, description="most steps read of a text")

    @property
    def _texts(self) -> "Texts":
        return _load(self.path, self.text, self.label, self.unit, self.vocabulary, self.length)

    @property
    def _prior(self) -> np.ndarray:
        return self._texts.prior

    @property
    def symbolic(self) -> bool:
        return True

    @property
    def alphabet(self) -> tuple[str, ...]:
        return self._texts.units

    @property
    def answers(self) -> tuple[str, ...]:
        return self._texts.names

    @property
    def input_size(self) -> int:
        return len(self._texts.units)

    @property
    def steps(self) -> int:
        return self._texts.steps

    def splits(self) -> Mapping[Literal["training", "validation", "test"], Batch]:
        texts = self._texts
        return {split: _batch(texts, rows) for split, rows in texts.rows.items()}


@dataclass(frozen=True)
class Texts:
    """Units as symbols, 0 for the ones that are not kept; -1 after the end of a text."""

    symbols: Tensor  # (texts, steps), int16
    labels: Tensor  # (texts)
    rows: Mapping[Literal["training", "validation", "test"], Tensor]
    units: tuple[str, ...]  # what each symbol is drawn as
    names: tuple[str, ...]  # of the labels
    prior: np.ndarray

    @property
    def steps(self) -> int:
        return self.symbols.shape[1]


def _batch(texts: Texts, kept: Tensor) -> Batch:
    def make(rows: Tensor) -> Batch:
        symbols = texts.symbols[kept[rows]].T.long()
        there = symbols >= 0
        shown = (
            functional.one_hot(symbols.clamp(min=0), len(texts.units)).float() * there[..., None]
        )
        return Batch(shown, texts.labels[kept[rows]][None], there.sum(0) - 1)

    return LazyBatch(len(kept), make)


@lru_cache(maxsize=2)
def _load(path: str, text: str, label: str, unit: str, vocabulary: int, length: int) -> Texts:
    file = existing(path)
    if file is None or not file.is_file():
        raise missing(
            "csv-text",
            path,
            "a CSV file with a header, a column of texts and one of labels",
            "film reviews with their sentiment come as such files",
        )
    texts, told = _labelled(Table(file), text, label, unit, length)
    names = sorted(set(told))
    if not 2 <= len(names) <= MOST_CLASSES:
        raise UserError(
            f"{file}: {quoted(label)} has {len(names)} different labels; 2 to {MOST_CLASSES} make "
            "classes"
        )
    classes = {name: i for i, name in enumerate(names)}
    labels = [classes[name] for name in told]
    validation, test, training = stratified(labels, [HELD_OUT_SHARE, HELD_OUT_SHARE])
    if not len(validation) or not len(test):
        raise UserError(f"{file} has {len(texts)} different texts, too few to hold tenths out")
    training = _once(texts, training, [*validation, *test])
    if not len(training):
        raise UserError(
            f"{file}: cut to {length} units, all texts for training are among those held out; raise "
            "task.length"
        )
    counts = Counter(u for i in training for u in texts[i])
    kept = sorted(counts, key=lambda u: (-counts[u], u))[:vocabulary]
    codes = {u: symbol for symbol, u in enumerate(kept, 1)}
    steps = max(map(len, texts))
    if steps * len(texts) > MOST_STEPS:
        raise UserError(
            f"{file}: {len(texts):,} texts of up to {steps:,} steps are too many; shorten task.length"
        )
    symbols = np.full((len(texts), steps), -1, dtype=np.int16)
    for i, units in enumerate(texts):
        symbols[i, : len(units)] = [codes.get(u, 0) for u in units]
    return Texts(
        torch.from_numpy(symbols),
        torch.tensor(labels),
        {
            "training": torch.from_numpy(training),
            "validation": torch.from_numpy(validation),
            "test": torch.from_numpy(test),
        },
        (RARE, *map(legible, kept)),
        tuple(names),
        np.bincount([labels[i] for i in training], minlength=len(names)) / len(training),
    )


def _labelled(
    table: Table, text: str, label: str, unit: str, length: int
) -> tuple[list[tuple[str, ...]], list[str]]:
    """The units of each different text, up to ``length`` of them, and its first label."""
    at, to = table.column(text, "task.text"), table.column(label, "task.label")
    split = WORD.findall if unit == "word" else list
    found: dict[bytes, tuple[tuple[str, ...], str]] = {}
    kept: dict[str, str] = {}  # one object for all that are equal
    joined: list[Row] = []
    for row in table:
        units = split(row.fields[at].lower() if unit == "word" else row.fields[at])
        told = row.fields[to].strip()
        if units and not told:
            raise UserError(
                f"{table.path}, line {row.line}: a text without a label: {quoted(row.fields[at])}"
            )
        if units:
            whole = hashlib.sha256(
                "\0".join(units).encode()
            ).digest()  # no text has a null character
            first = tuple(map(kept.setdefault, units[:length], units[:length]))
            found.setdefault(whole, (first, kept.setdefault(told, told)))
        if len(row.told) > 1:
            joined.append(row)
    if not found:
        raise UserError(f"{table.path}: {quoted(text)} has no text in any row")
    texts, labels = map(list, zip(*found.values(), strict=True))
    _check_joined(table, joined, to, set(labels))
    return texts, labels


def _check_joined(table: Table, joined: list[Row], to: int, labels: set[str]) -> None:
    """Raises UserError for a text over several lines of which each would be a row with a label."""
    for row in joined:
        parts = [line.rstrip("\n").split(",") for line in row.told]
        if all(len(part) == len(table.header) and part[to] in labels for part in parts):
            raise UserError(
                f"{table.path}, line {row.line}: a quote there joins lines {row.line} to "
                f"{row.line + len(parts) - 1} to one text, though each is a row with a label; close "
                "the quote, or leave it out"
            )


def _once(texts: list[tuple[str, ...]], kept: np.ndarray, other: list[int]) -> np.ndarray:
    """Those rows whose text is none of the ``other`` rows' and no earlier one's."""
    seen, rows = {texts[i] for i in other}, []
    for i in kept.tolist():
        if texts[i] not in seen:
            seen.add(texts[i])
            rows.append(i)
    return np.asarray(rows, dtype=np.int64)
