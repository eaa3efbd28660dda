"""What a user is told when something they gave cannot be used."""

from collections.abc import Iterable
from difflib import get_close_matches

INTERRUPTED = 130  # the exit code after Ctrl-C, 128 + SIGINT, as shells have it


class UserError(ValueError):
    """A user's mistake. Its text is one line: what is wrong and what would be right.

    The command line prints it without a traceback and exits with code 2.
    """

    def __init__(self, text: str) -> None:
        # What is quoted may hold line breaks: keys of a TOML file, an exception's text.
        super().__init__(" ".join(text.splitlines()))


class MissingFiles(UserError):
    """A task's files are not where they were looked for; what else was given may be right."""


_MOST_NAMED = 30


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
    return UserError(f"no {noun} named {str(given)!r}{hint} known: {told}")
