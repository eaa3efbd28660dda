"""Dates in ISO 8601: texts read back by the standard library, levels counted over all days."""

import re
from collections import Counter
from datetime import date, datetime, timedelta

import pytest
from answers import answered, drawn, named, prefix_level, read, step_level

from study.tasks.base import NO_TARGET
from study.tasks.written.date_formats import FORMATS, DateFormats, days, ending, written


def date_formats(**parameters: object) -> DateFormats:
    task = named("date-formats", **parameters)
    assert isinstance(task, DateFormats)
    return task


def test_a_date_in_all_formats() -> None:
    day = date(1998, 3, 3)
    assert [written(day, form) for form in FORMATS] == [
        "3 March 1998",
        "3 Mar 1998",
        "March 3, 1998",
        "Mar 3, 1998",
        "Tuesday, 3 March 1998",
        "Tue, 3 Mar 1998",
        "Tuesday, March 3, 1998",
        "March 3rd, 1998",
        "the 3rd of March 1998",
    ]
    assert written(date(2000, 2, 29), FORMATS[4]) == "Tuesday, 29 February 2000"
    assert written(date(1969, 7, 20), FORMATS[6]) == "Sunday, July 20, 1969"
    assert written(date(2024, 5, 31), FORMATS[1]) == "31 May 2024"


def test_ordinals_of_a_month() -> None:
    # fmt: off
    expected = [
        "1st", "2nd", "3rd", "4th", "5th", "6th", "7th", "8th", "9th", "10th", "11th", "12th", "13th",
        "14th", "15th", "16th", "17th", "18th", "19th", "20th", "21st", "22nd", "23rd", "24th", "25th",
        "26th", "27th", "28th", "29th", "30th", "31st",
    ]
    # fmt: on
    assert [f"{n}{ending(n)}" for n in range(1, 32)] == expected


PARSED = {  # a shape of each format, and how strptime reads it
    r"\d+ [A-Z][a-z]{3,} \d+": "%d %B %Y",
    r"\d+ [A-Z][a-z]{2} \d+": "%d %b %Y",
    r"[A-Z][a-z]{3,} \d+, \d+": "%B %d, %Y",
    r"[A-Z][a-z]{2} \d+, \d+": "%b %d, %Y",
    r"\w+day, \d+ \w+ \d+": "%A, %d %B %Y",
    r"[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d+": "%a, %d %b %Y",
    r"\w+day, \w+ \d+, \d+": "%A, %B %d, %Y",
    r"\w+ \d+\w\w, \d+": "%B %d, %Y",
    r"the \d+\w\w of \w+ \d+": "the %d of %B %Y",
}


def parsed(text: str) -> tuple[str, date]:
    """The shape, May's two taken as its first, and the day."""
    shape = next(
        shape
        for shape in PARSED
        if re.fullmatch(shape, text.replace("May", "Maius")) or re.fullmatch(shape, text)
    )
    plain = re.sub(r"(?<=\d)(st|nd|rd|th)\b", "", text)
    found = datetime.strptime(plain, PARSED[shape])
    if "%a" in PARSED[shape].lower():  # which strptime reads but does not compare
        weekday = found.strftime("%A")
        assert text.split(",")[0] in (weekday, weekday[:3])
    return shape, found.date()


def test_dates_are_the_ones_their_texts_name() -> None:
    task = date_formats()
    batch = drawn(task, 6000)
    shapes, years, found = Counter(), Counter(), set()
    for text, answer in zip(read(task, batch), answered(task, batch), strict=True):
        shape, day = parsed(text)
        assert "".join(answer) == day.isoformat()
        if day.month != 5:
            shapes[shape] += 1
        years[day.year] += 1
        found.add(day)
    assert set(shapes) == set(PARSED)
    assert max(shapes.values()) < 1.35 * min(shapes.values())  # 610 each, a deviation of 24
    assert set(years) == set(range(1950, 2050))
    assert batch.targets.shape == (10, 6000)
    assert (batch.targets != NO_TARGET).all()
    one = date_formats(formats="one")
    for text in read(one, drawn(one, 500)):
        assert re.fullmatch(r"\d+ \w{3,} \d{4}", text)
        datetime.strptime(text, "%d %B %Y")


@pytest.mark.parametrize("formats", ["one", "all"])
def test_a_dates_digit_is_the_one_it_hangs_on(formats: str) -> None:
    task = date_formats(formats=formats)
    batch = drawn(task)
    hung = task.alignment(batch)
    lags = set()
    for i, (text, answer) in enumerate(zip(read(task, batch), answered(task, batch), strict=True)):
        places = hung[:, i].tolist()
        aligned = [step for step, place in enumerate(places) if place >= 0]
        assert aligned == ([0, 1, 2, 3, 9] if answer[8] == "0" else [0, 1, 2, 3, 8, 9])
        assert all(text[places[step]] == answer[step] for step in aligned)
        # The year comes last, and no character of it is the day's.
        assert places[:4] == list(range(len(text) - 4, len(text)))
        assert max(places[8:]) < len(text) - 4
        month = re.search("Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec", text)
        assert month is not None
        lags |= {len(text) + 5 - month.start(), len(text) + 8 - places[9]}
        lags |= {len(text) + step - places[step] for step in aligned}
    assert (min(lags), max(lags)) == task.lag


@pytest.mark.parametrize(("first", "last"), [(1999, 2000), (1950, 2049), (1896, 1905)])
def test_the_parts_of_dates_are_all_days_once(first: int, last: int) -> None:
    parts = days(first, last)
    every = sorted(day for part in parts.values() for day in part.tolist())
    expected, day = [], date(first, 1, 1)
    while day.year <= last:
        expected.append(day.toordinal())
        day += timedelta(days=1)
    assert every == expected
    assert len(parts["validation"]) == len(parts["test"]) == len(every) // 10


def test_a_held_out_day_is_trained_in_no_format() -> None:
    task = date_formats(first_year=2023, last_year=2024)
    trained, validated, tested = (
        {parsed(text)[1] for text in read(task, batch)}
        for batch in (drawn(task, 8000), task.validation(), task.test())
    )
    assert len(trained) == 731 - 3 * 73
    assert len(validated) == len(tested) == 73
    assert not trained & (validated | tested)
    assert not validated & tested


@pytest.mark.parametrize(("first", "last"), [(2024, 2024), (1898, 1904), (1995, 2004)])
def test_levels_of_dates_are_those_of_all_days(first: int, last: int) -> None:
    task = date_formats(first_year=first, last_year=last)
    start, end = date(first, 1, 1).toordinal(), date(last, 12, 31).toordinal()
    every = [date.fromordinal(day).isoformat() for day in range(start, end + 1)]
    weights = [1 / len(every)] * len(every)
    assert task.chance_loss == pytest.approx(step_level(every, weights), rel=1e-12)
    assert list(task.plateaus.values()) == [pytest.approx(prefix_level(every, weights), rel=1e-9)]
    assert task.chance_metric == pytest.approx(1 / len(every))


def test_the_longest_date_sets_the_steps() -> None:
    for formats in ("one", "all"):
        task = date_formats(formats=formats, first_year=1998, last_year=1999)
        forms = FORMATS if formats == "all" else FORMATS[:1]
        every = [date(1998, 1, 1) + timedelta(days=i) for i in range(730)]
        texts = [written(day, form) for day in every for form in forms]
        assert task.steps == max(map(len, texts))
        assert set(task.alphabet) == set("".join(texts))
        assert len(set(task.alphabet)) == len(task.alphabet)
