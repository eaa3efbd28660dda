"""Transduction: strings and levels restated from Grefenstette et al. (2015)."""

import math
import re
import string
from collections import Counter
from collections.abc import Iterable
from itertools import combinations, islice, product
from typing import Any

import pytest
import torch
from answers import aligned_lags, answered, drawn, named, read, step_level
from torch import Tensor

from study.tasks.base import NO_TARGET, Batch
from study.tasks.written.transduction import Transduction


def flipped(text: str) -> str:
    return re.sub("(.)(.)", r"\2\1", text)


TRANSDUCED = {"copy": str, "reversal": lambda text: text[::-1], "bigram-flipping": flipped}


@pytest.mark.parametrize("variable", [False, True])
@pytest.mark.parametrize("kind", TRANSDUCED)
def test_transduction_protocol(kind: str, variable: bool) -> None:
    task = named("transduction", kind=kind, length=24, symbols=5, variable=variable)
    batch = drawn(task)
    texts, answers = read(task, batch), answered(task, batch)
    for text, answer in zip(texts, answers, strict=True):
        assert "".join(answer) == TRANSDUCED[kind](text) + "∎" * variable
    lengths = Counter(map(len, texts))
    expected = range(4, 25, 2) if kind == "bigram-flipping" else range(3, 25)  # an eighth of 24
    assert set(lengths) == (set(expected) if variable else {24})
    assert max(lengths.values()) < 2 * min(lengths.values())
    symbols = Counter("".join(texts))
    assert set(symbols) == set("ABCDE")
    assert max(symbols.values()) < 1.1 * min(symbols.values())
    assert (batch.ends is None) is (not variable)


@pytest.mark.parametrize("variable", [False, True])
@pytest.mark.parametrize("kind", TRANSDUCED)
def test_a_transduced_symbol_is_the_one_it_hangs_on(kind: str, variable: bool) -> None:
    task = named("transduction", kind=kind, length=12, symbols=26, variable=variable)
    batch = drawn(task)
    hung = task.alignment(batch)
    assert hung is not None
    shown = batch.inputs.argmax(-1)
    there = hung >= 0
    assert torch.equal(shown.gather(0, hung.clamp(min=0))[there], batch.targets[there])
    assert torch.equal(
        ~there,
        (batch.targets == NO_TARGET)
        | (batch.targets == task.end if variable else torch.tensor(False)),
    )
    lags = aligned_lags(task, batch)
    assert (min(lags), max(lags)) == task.lag
    # Each step of the input is copied once.
    used = hung.masked_fill(~there, 99).sort(0).values
    expected = torch.arange(len(hung))[:, None].where(
        there.sum(0) > torch.arange(len(hung))[:, None], 99
    )
    assert torch.equal(used, expected)


def test_the_published_transduction_can_be_set() -> None:
    task = named("transduction", length=64, symbols=128, variable=True)
    assert isinstance(task, Transduction)
    assert list(task.lengths) == list(range(8, 65))
    assert len(set(task.alphabet)) == 128
    assert task.alphabet.isalnum()
    assert set(task.alphabet) >= set(string.ascii_letters + string.digits)


@pytest.mark.parametrize("kind", TRANSDUCED)
def test_transduction_levels_are_those_of_all_strings(kind: str) -> None:
    task = named("transduction", kind=kind, length=6, symbols=2, variable=True)
    lengths = range(2, 7, 2) if kind == "bigram-flipping" else range(1, 7)
    answers = ["".join(s) + "∎" for n in lengths for s in product("AB", repeat=n)]
    weights = [1 / len(lengths) / 2 ** (len(a) - 1) for a in answers]
    assert task.chance_loss == pytest.approx(step_level(answers, weights), rel=1e-12)
    assert task.chance_metric == pytest.approx(max(weights), rel=1e-12)
    batch = drawn(task, 4000)
    counting = torch.full((*batch.targets.shape, 3), 0.0, dtype=torch.float64)
    counting[..., 2] = torch.where(batch.targets == 2, 50.0, -50.0)
    assert float(task.loss(counting, batch.targets)) == pytest.approx(
        task.plateaus["where it ends known, but no symbol"],
        rel=0.02,  # 4,000 lengths
    )


def test_transduction_of_one_length_has_no_plateau() -> None:
    assert named("transduction", symbols=5).chance_loss == pytest.approx(math.log(5))
    assert not named("transduction").plateaus
    single = named("transduction", length=1, variable=True, symbols=4)
    assert not single.plateaus
    assert single.chance_loss == pytest.approx(math.log(4) / 2)
    assert single.chance_metric == 1 / 4


@pytest.mark.parametrize("kind", ["copy", "reversal", "bigram-flipping"])
@pytest.mark.parametrize("variable", [False, True])
def test_strings_of_few_kinds_are_kept_for_one_part(kind: Any, variable: bool) -> None:
    task = Transduction(kind=kind, length=6 if variable else 4, symbols=4, variable=variable)

    def strings(batches: Iterable[Batch]) -> set[str]:
        return {
            "".join(str(s) for s in column[column >= 0].tolist())
            for batch in batches
            for column in symbols_of(batch).T
        }

    parts = [
        strings(islice(task.training(0, 500), 12)),
        strings([task.validation()]),
        strings([task.test()]),
    ]
    for one, other in combinations(parts, 2):
        assert not one & other
    long = set().union(*parts)
    shares = [sum(len(s) == 4 for s in part) / 256 for part in parts]
    # A tenth more is kept for confirmation.
    assert sum(len(s) == 4 for s in long) == pytest.approx(0.9 * 256, abs=0.06 * 256)
    assert shares == pytest.approx([0.7, 0.1, 0.1], abs=0.07)


def symbols_of(batch: Batch) -> Tensor:
    """(T,B), -1 after a string's end."""
    return batch.inputs.argmax(-1).where(batch.inputs.sum(-1) > 0, -1)
