"""What goes wrong with a store, in one line, and without its password."""

import errno
import re
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from study.base import limits
from study.base.errors import UserError
from study.tracking.store_address import without_password

_LONGEST = 240  # characters of what a database or a server says
HIDDEN = "***"

# What the libraries below say, by a part of it, and what it means.
_IN_OUR_WORDS = {
    "database is locked": "another program, such as a database browser, has locked the database; "
    "close it there and start again",
    "database or disk is full": "no space is left on the disk",
    "no space left on device": "no space is left on the disk",
    "attempt to write a readonly database": "the database may not be written",
    "unable to open database file": "its database cannot be opened or made there",
    "disk i/o error": "the disk cannot be read or written",
    "max retries exceeded": "no server answers there",
    "file is not a database": "its file mlflow.db is no database",
    "database disk image is malformed": "its file mlflow.db is damaged",
}


class StoreError(UserError):
    """The store cannot be reached, read or written."""


def reason(error: BaseException, uri: str = "") -> str:
    """The error in one line, without the passwords in ``uri``."""
    text = str(error).strip()
    if isinstance(error, OSError) and error.errno is not None:
        text = error.strerror or text
        if error.filename:
            text += f" ({error.filename})"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return "no space is left on the disk"
    for part, words in _IN_OUR_WORDS.items():
        if part in text.lower():
            return words
    line = hidden((text.splitlines() or [type(error).__name__])[0], uri)
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} …"


def hidden(text: str, uri: str) -> str:
    """The text without addresses' passwords, and without those in ``uri``, however they are quoted."""
    for secret in _secrets(uri):
        for form in {secret, unquote(secret), quote(unquote(secret), safe=""), quote_plus(secret)}:
            text = text.replace(form, HIDDEN)
    return without_password(text)


def shown(uri: str) -> str:
    """The address of a store as it may be printed."""
    return limits.shown(without_password(uri), 300)


# A password may hold a slash or a colon, but an @ only as %40.
_LOGIN = re.compile(r"(?<=://)[^:/@]*:([^@]*)@")
_SECRET_OPTION = re.compile(r"pass|pwd|secret|token", re.IGNORECASE)


def _secrets(uri: str) -> list[str]:
    found = _LOGIN.findall(uri)
    with suppress(ValueError):  # no URI at all
        found += [v for k, v in parse_qsl(urlsplit(uri).query) if _SECRET_OPTION.search(k)]
    return sorted(filter(None, found), key=len, reverse=True)


def speaking(store: type, failures: tuple[type[Exception], ...]) -> None:
    """Have every public method of a class, whose instances have a ``uri``, tell these failures in one
    line, as a `StoreError`."""

    def spoken(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return method(self, *args, **kwargs)
            except UserError:
                raise
            except failures as error:
                told = reason(error, self.uri)
                raise StoreError(f"the store {shown(self.uri)} cannot be used: {told}") from None

        return call

    for name, method in list(vars(store).items()):
        if not name.startswith("_") and callable(method):
            setattr(store, name, spoken(method))
