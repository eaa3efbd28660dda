"""Numbers and lists as a reader wants them."""

import math
from collections.abc import Sequence

NOTHING = "–"
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def short(value: float | None, digits: int = 3) -> str:
    """Three significant digits: 0.00213, 12.4, 5,300; "–" for what there is not."""
    if value is None or math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == 0:
        return "0"
    if abs(value) >= 100:
        rounded = round(value, digits - 1 - math.floor(math.log10(abs(value))))
        return f"{rounded:,.0f}" if abs(value) < 1e7 else f"{value:.{digits - 1}e}"
    if abs(value) < 1e-3:
        return f"{value:.{digits - 1}e}".replace("e-0", "e-")
    return f"{value:.{digits}g}"


def whole(value: float | None) -> str:
    """A count, with thousands apart."""
    if value is None or not math.isfinite(value):
        return short(value)
    return f"{value:,.0f}"


def ten_to(exponent: float) -> str:
    """The number of that base-10 logarithm, which may be one that no float reaches: 4·10⁻⁴⁰, 0.71."""
    if not math.isfinite(exponent):
        return "0" if exponent < 0 else short(exponent)
    if -3 <= exponent < 4:
        return short(10**exponent, 2)
    whole_part = math.floor(exponent)
    digit = round(10 ** (exponent - whole_part))
    if digit == 10:
        digit, whole_part = 1, whole_part + 1
    raised = f"10{str(whole_part).translate(RAISED)}"
    return raised if digit == 1 else f"{digit}·{raised}"


def steps_text(half_life: float, length: float | None = None) -> str:
    """A half-life in steps; one longer than the sequence was not seen, and is not put in figures."""
    if math.isinf(half_life):
        return "no decay"
    if length is not None and half_life > length:
        return f"over {length:g}"
    return short(half_life, 2)


def measured(value: float | None) -> str:
    """As `short`, with the zeros at the end that tell how exact it is: 0.800 beside 0.754."""
    text = short(value)
    if value is None or not math.isfinite(value) or value == 0 or "e" in text or "," in text:
        return text
    return f"{value:#.3g}".removesuffix(".")


def fraction(value: float) -> str:
    """0.44 as in an interval of a share; exact ends stay short."""
    return f"{value:.2f}" if 0 < value < 1 else f"{value:.0f}"


def share(successes: int, runs: int, low: float, high: float) -> str:
    """3 of 3 [0.44, 1]"""
    return f"{successes} of {runs} [{fraction(low)}, {fraction(high)}]"


def span(low: float, high: float) -> str:
    """0.00121 to 0.00150; one number when there is one."""
    first, last = measured(low), measured(high)
    return first if first == last else f"{first} to {last}"


def listing(names: Sequence[str], conjunction: str = "and") -> str:
    """a, b and c"""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {conjunction} {names[-1]}"


def counted(count: int, noun: str, plural: str = "") -> str:
    """1 run, 3 runs"""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def duration(seconds: float) -> str:
    if not math.isfinite(seconds):
        return NOTHING
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
