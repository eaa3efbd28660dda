"""What a user is told when something they gave cannot be used."""

from collections.abc import Iterable
from difflib import get_close_matches

from study.base.limits import shown

INTERRUPTED = 130  # the exit code after Ctrl-C, 128 + SIGINT, as shells have it
_LONGEST = 1_400  # characters of a line; the names that are known take most


class UserError(ValueError):
    """A user's mistake. Its text is one line: what is wrong and what would be right.

    The command line prints it without a traceback and exits with code 2.
    """

    def __init__(self, text: str) -> None:
        super().__init__(one_line(text))


class MissingFiles(UserError):
    """A task's files are not where they were looked for; what else was given may be right."""


_MOST_NAMED = 30


def one_line(text: str) -> str:
    """The text without line breaks and what else would act on a terminal, not too long.

    What is quoted may hold anything: keys of a TOML file, an exception's text.
    """
    line = " ".join(text.splitlines())
    if len(line) > _LONGEST:
        line = f"{line[: _LONGEST * 2 // 3]} … {line[-_LONGEST // 3 :]}"
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


def unknown(noun: str, given: object, known: Iterable[str]) -> UserError:
    """The error for a name that does not exist, with the nearest known one.

    Of very many known names only the nearest are told.
    """
    names = list(known)
    near = get_close_matches(str(given), names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ";"
    told = ", ".join(names)
    if len(names) > _MOST_NAMED:
        nearest = get_close_matches(str(given), names, n=8, cutoff=0.3) or names[:8]
        told = f"{', '.join(nearest)}, … ({len(names)} in all)"
    return UserError(f"no {noun} named {shown(str(given))}{hint} known: {told}")
