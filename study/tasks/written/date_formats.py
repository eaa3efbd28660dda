"""Dates as people write them, put into ISO 8601."""

import math
from calendar import monthrange
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Generator, Tensor

from study.tasks import TASKS
from study.tasks.base import Batch, Part, SyntheticTask, between, one_hot, step_chance
from study.tasks.generating import GeneratingTask

# English whatever the locale: strftime would follow it.
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
FORMATS = (
    "{day} {month} {year}",
    "{day} {month:.3} {year}",
    "{month} {day}, {year}",
    "{month:.3} {day}, {year}",
    "{weekday}, {day} {month} {year}",
    "{weekday:.3}, {day} {month:.3} {year}",
    "{weekday}, {month} {day}, {year}",
    "{month} {ordinal}, {year}",
    "the {ordinal} of {month} {year}",
)
ANSWERS = "0123456789-"
STEPS = len("1998-03-03")
SPLIT_SEED = 0


@TASKS.register
class DateFormats(GeneratingTask, SyntheticTask):
    """Read a date as people write it, and write it as ISO 8601 has it: "Mar 3, 1998" is 1998-03-03.

    One-hot characters. A day is drawn uniformly from the first year's to the last's, then one of nine
    formats: 3 March 1998 | 3 Mar 1998 | March 3, 1998 | Mar 3, 1998 | Tuesday, 3 March 1998 |
    Tue, 3 Mar 1998 | Tuesday, March 3, 1998 | March 3rd, 1998 | the 3rd of March 1998; with ``formats``
    "one" always the first. Months in digits and years of two are left out, for nobody could tell what
    they mean. A tenth of the days is kept for validation, one for confirmation and one for test, in
    whatever format. A usual exercise for attention; after Ng, Katanforoosh & Bensouda Mourri (2018),
    Sequence models.

    Chance: the best prediction that knows the step, the mean entropy of the ten characters over all
    days. The plateau is of a decoder that has learned the calendar but reads nothing: of N days,
    ln(N)/10. ``exact`` by chance: 1/N. The criterion is ours. The digits of year and day hang on one
    character each, but for a 0 that is put before the day; those of the month on its name.
    """

    title: ClassVar[str] = "Dates in ISO 8601"
    source: ClassVar[str] = (
        "after Ng, Katanforoosh & Bensouda Mourri (2018), Sequence models, exercise on attention"
    )

    name: Literal["date-formats"] = "date-formats"
    formats: Literal["one", "all"] = Field(default="all", description="one is day, month, year")
    first_year: int = Field(default=1950, ge=1583, le=9999, description="Gregorian")
    last_year: int = Field(default=2049, ge=1583, le=9999, description="and all of it")
    solved_at: float = Field(default=0.99, gt=0.5, le=1, description="share of dates all right")

    @model_validator(mode="after")
    def _years_are_in_order(self) -> "DateFormats":
        if self.last_year < self.first_year:
            raise ValueError(
                f"last_year must not be before first_year (got {self.last_year}, {self.first_year})"
            )
        return self

    @property
    def forms(self) -> Sequence[str]:
        return FORMATS if self.formats == "all" else FORMATS[:1]

    @property
    def input_size(self) -> int:
        return len(self.alphabet)

    @property
    def output_size(self) -> int:
        return len(ANSWERS)

    @property
    def steps(self) -> int:
        return max(len(text) for _, text in self._longest())

    def _longest(self) -> Iterator[tuple[date, str]]:
        """September's days: no month's name is longer, and Wednesdays are among those of two digits."""
        for day in range(1, 31):
            one = date(self.first_year, 9, day)
            yield from ((one, written(one, form)) for form in self.forms)

    @property
    def answer_steps(self) -> int:
        return STEPS

    @property
    def lag(self) -> tuple[int, int]:
        # The year comes last and is put first: four steps. The day is furthest where it comes before
        # the month; a single digit is told a step later, after a 0.
        found = {
            len(text) + 10 - len(str(day.day)) - text.index(str(day.day))
            for day, text in self._longest()
        }
        return 4, max(found)

    @property
    def alphabet(self) -> str:
        return _characters(self.formats)

    @property
    def answers(self) -> str:
        return ANSWERS

    @property
    def _days(self) -> range:
        """As ordinals, `date.fromordinal`."""
        first, last = date(self.first_year, 1, 1), date(self.last_year, 12, 31)
        return range(first.toordinal(), last.toordinal() + 1)

    @property
    def chance_loss(self) -> float:
        return _step_chance(self.first_year, self.last_year)

    @property
    def chance_metric(self) -> float:
        return 1 / len(self._days)

    @property
    def plateaus(self) -> Mapping[str, float]:
        return {"the calendar known, but nothing read": math.log(len(self._days)) / STEPS}

    @property
    def solved_rule(self) -> str:
        return f"at least {self.solved_at:.0%} of the dates right in every character"

    def solved(self, scores: Mapping[str, float]) -> bool:
        return scores["exact"] >= self.solved_at

    def sample(self, generator: Generator, n: int) -> Batch:
        return self.of_part("training", generator, n)

    def of_part(self, part: Part, generator: Generator, n: int) -> Batch:
        kept = days(self.first_year, self.last_year)[part]
        drawn = kept[between(0, len(kept) - 1, (n,), generator)].tolist()
        forms = between(0, len(self.forms) - 1, (n,), generator).tolist()
        pairs = zip(drawn, forms, strict=True)
        return self.put([(date.fromordinal(day), self.forms[form]) for day, form in pairs])

    def put(self, chosen: Sequence[tuple[date, str]]) -> Batch:
        """These days in these formats, and in ISO 8601."""
        place = {character: i for i, character in enumerate(self.alphabet)}
        texts = [written(day, form) for day, form in chosen]
        steps = self.steps
        rows = [[*map(place.get, text), *[-1] * (steps - len(text))] for text in texts]
        targets = [[ANSWERS.index(c) for c in day.isoformat()] for day, _ in chosen]
        ends = torch.tensor([len(text) - 1 for text in texts])
        shown = one_hot(torch.tensor(rows).T, len(self.alphabet))
        return Batch(shown, torch.tensor(targets).T, ends)

    def alignment(self, batch: Batch) -> Tensor:
        """A date's last four digits are the year's, those before, one or two, the day's."""
        digits = torch.tensor([character.isdigit() for character in self.alphabet])
        there = (batch.inputs.sum(-1) > 0) & digits[batch.inputs.argmax(-1)]
        rows = []
        for each in there.T:
            *day, y1, y2, y3, y4 = each.nonzero()[:, 0].tolist()
            rows.append([y1, y2, y3, y4, -1, -1, -1, -1, *[-1] * (2 - len(day)), *day])
        return torch.tensor(rows).T


def written(day: date, form: str) -> str:
    """In one of FORMATS."""
    return form.format(
        day=day.day,
        ordinal=f"{day.day}{ending(day.day)}",
        month=MONTHS[day.month - 1],
        weekday=WEEKDAYS[day.weekday()],
        year=day.year,
    )


def ending(number: int) -> str:
    """1st, 2nd, 3rd, 4th, but 11th to 13th."""
    usual = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return "th" if number % 100 in (11, 12, 13) else usual


@lru_cache(maxsize=2)
def _characters(formats: Literal["one", "all"]) -> str:
    """All that occur in a year, digits among them."""
    year = (date.fromordinal(date(2000, 1, 1).toordinal() + i) for i in range(366))
    forms = FORMATS if formats == "all" else FORMATS[:1]
    return "".join(sorted({c for day in year for form in forms for c in written(day, form)}))


@lru_cache(maxsize=4)
def days(first_year: int, last_year: int) -> Mapping[Part, Tensor]:
    """Ordinals of the days by the part they are kept for."""
    first, after = date(first_year, 1, 1).toordinal(), date(last_year, 12, 31).toordinal() + 1
    draws = Generator().manual_seed(SPLIT_SEED)
    order = torch.randperm(after - first, generator=draws) + first
    tenth = len(order) // 10
    parts = order.split([tenth, tenth, tenth, len(order) - 3 * tenth])
    return dict(zip(("validation", "test", "confirmation", "training"), parts, strict=True))


@lru_cache(maxsize=4)
def _step_chance(first_year: int, last_year: int) -> float:
    shares = torch.zeros(STEPS, len(ANSWERS), dtype=torch.float64)

    def count(start: int, text: str, times: int) -> None:
        for step, character in enumerate(text, start):
            shares[step, ANSWERS.index(character)] += times

    years = range(first_year, last_year + 1)
    lengths = Counter((month, monthrange(y, month)[1]) for y in years for month in range(1, 13))
    for year in years:
        count(0, f"{year}-", 365 + (monthrange(year, 2)[1] == 29))
    for (month, last), times in lengths.items():
        count(5, f"{month:02}-", times * last)
        for day in range(1, last + 1):
            count(8, f"{day:02}", times)
    return step_chance(shares / shares.sum())
