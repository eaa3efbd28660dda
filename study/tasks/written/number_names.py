"""The English names of the numbers below a million, and which digit each word comes from."""

from collections.abc import Sequence
from typing import Literal

ONES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEENS = (
    *("ten", "eleven", "twelve", "thirteen", "fourteen"),
    *("fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")

Unit = Literal["word", "character"]
# What is written, and the place of its digit, 0 for the ones and 3 for the thousands; None where it
# hangs on several.
Spelled = list[tuple[str, int | None]]


def words(number: int) -> Spelled:
    """342 -> three 2, hundred 2, forty 1, two 0. Without "and" and hyphens; 0 is zero."""
    if number >= 1000:
        return [*_thousands(number // 1000), *_after(number % 1000)]
    if number >= 100:
        return [(ONES[number // 100], 2), ("hundred", 2), *_after(number % 100)]
    if number >= 20:
        return [(TENS[number // 10 - 2], 1), *_after(number % 10)]
    return [(TEENS[number - 10], None)] if number >= 10 else [(ONES[number], 0)]


def _thousands(number: int) -> Spelled:
    counted = [(word, None if place is None else place + 3) for word, place in words(number)]
    return [*counted, ("thousand", 3)]


def _after(rest: int) -> Spelled:
    return words(rest) if rest else []


def spelled(number: int, unit: Unit) -> Spelled:
    """`words`, or their characters with blanks between, which hang on no single digit."""
    return _in_units(words(number), unit)


def _in_units(said: Spelled, unit: Unit, go_on: bool = False) -> Spelled:
    """``go_on``: with the blank before, if anything is said."""
    if unit == "word":
        return said
    letters = [(letter, place) for word, place in said for letter in f" {word}"]
    blanked = [(letter, None if letter == " " else place) for letter, place in letters]
    return blanked if go_on else blanked[1:]


def beginnings_and_ends(digits: int, unit: Unit) -> tuple[list[Spelled], list[Spelled]]:
    """All names of numbers of exactly so many digits: each of the first followed by each of the second."""
    if digits <= 3:
        return [[]], [spelled(number, unit) for number in of_length(digits)]
    counted = range(10 ** (digits - 4), 10 ** (digits - 3))
    beginnings = [_in_units(_thousands(number), unit) for number in counted]
    return beginnings, [_in_units(_after(rest), unit, go_on=True) for rest in range(1000)]


def of_length(digits: int) -> range:
    """The numbers of exactly so many digits; 0 has one."""
    return range(0 if digits == 1 else 10 ** (digits - 1), 10**digits)


def vocabulary(digits: int, unit: Unit) -> Sequence[str]:
    """What occurs in names of numbers of at most so many digits; words from the least up."""
    known = ONES if digits == 1 else (*ONES, *TEENS, *TENS, "hundred", "thousand")[: 26 + digits]
    if unit == "word":
        return known
    return sorted({*"".join(known), *" " * (digits > 1)})
