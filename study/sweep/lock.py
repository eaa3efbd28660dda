"""One driver a study: what its folder is asked before a sweep, and holds while one runs."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from study.base.errors import UserError
from study.tracking.store_errors import reason


def check_case(journals: Path, name: str) -> None:
    """Raises UserError for a name that another study here has but for its case: where a file system
    or a database has none, the two would share their files."""
    for journal in journals.glob("*.journal"):
        if journal.stem != name and journal.stem.lower() == name.lower():
            raise UserError(
                f"study {name!r} has the name of study {journal.stem!r} here but for its case; "
                "give it another name (--as NAME)"
            )


@contextmanager
def in_a_line() -> Iterator[None]:
    """A disk that is full, a journal that may not be written: no fault of the program's."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"the sweep cannot go on: {reason(error)}; what is finished is kept, and the same "
            "command goes on from there"
        ) from None


@contextmanager
def locked(path: Path, name: str) -> Iterator[None]:
    """One driver a study; the lock goes with the process, however it ends."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        opened = path.open("w")
    except OSError as error:
        raise UserError(f"cannot lock study {name!r}: {reason(error)}") from None
    with opened as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(
                f"study {name!r} is being swept by another process here; wait for it, or stop it"
            ) from None
        yield
