"""Numbers in words: names known, names read back, levels counted over all numbers."""

from collections import Counter

import numpy as np
import pytest
from answers import aligned_lags, answered, drawn, named, prefix_level, read, step_level

from study.tasks.written.number_names import spelled
from study.tasks.written.number_words import NumberWords, numbers

SAID = {
    0: "zero",
    7: "seven",
    10: "ten",
    11: "eleven",
    12: "twelve",
    13: "thirteen",
    15: "fifteen",
    18: "eighteen",
    19: "nineteen",
    20: "twenty",
    21: "twenty one",
    40: "forty",
    90: "ninety",
    99: "ninety nine",
    100: "one hundred",
    101: "one hundred one",
    110: "one hundred ten",
    112: "one hundred twelve",
    342: "three hundred forty two",
    900: "nine hundred",
    1000: "one thousand",
    1001: "one thousand one",
    1010: "one thousand ten",
    1100: "one thousand one hundred",
    2019: "two thousand nineteen",
    7777: "seven thousand seven hundred seventy seven",
    10000: "ten thousand",
    12012: "twelve thousand twelve",
    20020: "twenty thousand twenty",
    100000: "one hundred thousand",
    100001: "one hundred thousand one",
    123456: "one hundred twenty three thousand four hundred fifty six",
    500050: "five hundred thousand fifty",
    818000: "eight hundred eighteen thousand",
    999999: "nine hundred ninety nine thousand nine hundred ninety nine",
}
# fmt: off
VALUES = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8,
    "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15,
    "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30,
    "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}
# fmt: on


def value(said: str) -> int:
    """The number of a name."""
    total = group = 0
    for word in said.split(" "):
        if word == "thousand":
            total, group = 1000 * group, 0
        elif word == "hundred":
            group *= 100
        else:
            group += VALUES[word]
    return total + group


def number_words(**parameters: object) -> NumberWords:
    task = named("number-words", **parameters)
    assert isinstance(task, NumberWords)
    return task


@pytest.mark.parametrize("unit", ["word", "character"])
def test_numbers_are_said_as_they_are(unit: str) -> None:
    task = number_words(digits=6, unit=unit)
    batch = task.written(list(SAID))
    assert read(task, batch) == [str(number) for number in SAID]
    between = " " if unit == "word" else ""
    for answer, said in zip(answered(task, batch), SAID.values(), strict=True):
        assert answer[-1] == "∎"
        assert between.join(answer[:-1]) == said


def test_every_name_says_its_number_and_no_word_more() -> None:
    for number in [*range(2000), *range(2000, 1_000_000, 997)]:
        said = " ".join(word for word, _ in spelled(number, "word"))
        assert value(said) == number
        assert ("zero" in said) is (number == 0)
        assert "".join(letter for letter, _ in spelled(number, "character")) == said


@pytest.mark.parametrize("digits", [1, 2, 3, 4])
@pytest.mark.parametrize("unit", ["word", "character"])
def test_the_answers_are_what_occurs(digits: int, unit: str) -> None:
    task = number_words(digits=digits, unit=unit)
    batch = task.written(list(range(10**digits)))
    occur = {symbol for answer in answered(task, batch) for symbol in answer}
    assert sorted(task.answers) == sorted(occur)
    assert task.answers[task.end] == "∎"
    assert task.answer_steps == max(len(answer) for answer in answered(task, batch))


@pytest.mark.parametrize("unit", ["word", "character"])
def test_a_numbers_word_hangs_on_its_digit(unit: str) -> None:
    task = number_words(digits=6, unit=unit)
    chosen = [*SAID, *range(0, 1_000_000, 1009)]
    batch = task.written(chosen)
    hung = task.alignment(batch)
    seen = Counter()
    for i, (number, answer) in enumerate(zip(chosen, answered(task, batch), strict=True)):
        digits, places = str(number), hung[: len(answer), i].tolist()
        if unit == "character":  # a word's letters hang on one digit, the blanks on none
            groups = "".join(answer[:-1]).split(" ")
            start, words, of_words = 0, [], []
            for word in groups:
                assert len(set(places[start : start + len(word)])) == 1
                words.append(word)
                of_words.append(places[start])
                start += len(word) + 1
                assert places[start - 1] == -1
        else:
            assert places[-1] == -1
            words, of_words = answer[:-1], places[:-1]
        for word, place in zip(words, of_words, strict=True):
            seen[word] += 1
            if place == -1:
                assert 10 <= VALUES[word] <= 19
                continue
            power = len(digits) - 1 - place  # of ten
            if word == "thousand":
                assert power == 3
            elif word == "hundred":
                assert power in (2, 5)
                assert digits[place] != "0"
            elif power in (1, 4):
                assert VALUES[word] == 10 * int(digits[place])
            else:
                assert VALUES[word] == int(digits[place])
    assert len(seen) == 30


@pytest.mark.parametrize("unit", ["word", "character"])
@pytest.mark.parametrize("digits", [1, 2, 3, 4, 5])
def test_the_lag_of_numbers_is_the_alignments(digits: int, unit: str) -> None:
    task = number_words(digits=digits, unit=unit)
    fewest = 3 if digits > 2 else 1
    chosen = range(0 if fewest == 1 else 100, 10**digits)
    batch = task.written([*chosen[:: 1 if digits < 5 else 7], 77777 % 10**digits])
    lags = aligned_lags(task, batch)
    assert (min(lags), max(lags)) == task.lag


@pytest.mark.parametrize("unit", ["word", "character"])
@pytest.mark.parametrize(("digits", "held_out"), [(1, [1]), (2, [1, 2]), (3, [3]), (4, [3, 4])])
def test_levels_of_numbers_are_those_of_all_of_them(
    digits: int, held_out: list[int], unit: str
) -> None:
    task = number_words(digits=digits, unit=unit)
    every = [n for n in range(10**digits) if len(str(n)) in held_out]
    many = Counter(len(str(n)) for n in every)
    weights = [1 / many[len(str(n))] / len(held_out) for n in every]
    answers = answered(task, task.written(every))
    assert task.chance_loss == pytest.approx(step_level(answers, weights), rel=1e-9)
    assert task.chance_metric == pytest.approx(max(weights), rel=1e-12)
    levels = list(task.plateaus.values())
    if digits == 1:
        assert not levels
    else:
        assert levels == [pytest.approx(prefix_level(answers, weights), rel=1e-9)]


def test_levels_of_six_digits_are_those_of_a_sample() -> None:
    task = number_words(digits=6)
    draws = np.random.default_rng(1)
    chosen = [
        int(draws.integers(10 ** (c - 1), 10**c)) for c in (3, 4, 5, 6) for _ in range(10_000)
    ]
    answers = answered(task, task.written(chosen))
    level = step_level(answers, [1.0] * len(answers))
    assert task.chance_loss == pytest.approx(level, rel=0.005)  # 40,000 numbers


def test_the_parts_of_numbers_are_all_of_them_once() -> None:
    for digits in (1, 2, 3, 4):
        parts = numbers(digits)
        every = sorted(n for part in parts.values() for n in part.tolist())
        assert every == [n for n in range(10**digits) if len(str(n)) == digits]
        held_out = 0 if digits < 3 else 9 * 10 ** (digits - 2)
        assert len(parts["validation"]) == len(parts["test"]) == held_out


def test_numbers_are_drawn_by_how_many_digits_they_have() -> None:
    task = number_words()
    trained = Counter(map(len, read(task, drawn(task, 8000))))
    assert set(trained) == {1, 2, 3, 4}
    assert max(trained.values()) < 1.1 * min(trained.values())
    for part, batch in (("validation", task.validation()), ("test", task.test())):
        shown = read(task, batch)
        assert {len(number) for number in shown} == {3, 4}
        allowed = {n for digits in (3, 4) for n in numbers(digits)[part].tolist()}
        assert {int(number) for number in shown} <= allowed
        assert Counter(map(len, shown))[3] == pytest.approx(len(shown) / 2, rel=0.1)
    three = Counter(n for n in read(task, drawn(task, 40_000)) if len(n) == 3)
    assert len(three) == 630
    # 10,000 numbers over 630, 16 each with a deviation of 4
    assert max(three.values()) < 16 + 6 * 4


@pytest.mark.parametrize("digits", [1, 2])
def test_few_numbers_are_learned_by_heart(digits: int) -> None:
    task = number_words(digits=digits)
    assert task.memorized
    for batch in (drawn(task), task.validation(), task.test()):
        assert {int(n) for n in read(task, batch)} == set(range(10**digits))
    assert not number_words(digits=3).memorized
