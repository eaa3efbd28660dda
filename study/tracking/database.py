"""The SQLite file of a folder's store: there whole or not at all, and read where it may not be written."""

import fcntl
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from study.base.errors import UserError
from study.tracking.relocation import ARTIFACTS, relocate

NAME = "mlflow.db"
WAIT_SECONDS = 20  # for a lock, as MLflow waits
_WHOLE = 0x6C61  # user_version of a database that was made to its end
_SIDE_FILES = ("-wal", "-shm", "-journal")

# Tables in which MLflow itself puts a row while it makes them; experiment 0 is its own too.
_FURNISHED = ("alembic_version", "experiments", "workspaces")


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One process at a time: two that make a new database or its tables disturb each other."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def is_there(database: Path) -> bool:
    """Whether there is a database, other than one whose making was interrupted.

    That one was made by a version that made it in its place: tables are missing, and it is empty.
    Raises sqlite3.Error when the file is no database.
    """
    if not database.exists():
        return False
    # Not of the URI's form with mode=ro: that fails where the write-ahead log must be read first.
    with closing(sqlite3.connect(database, timeout=WAIT_SECONDS)) as connection:
        if connection.execute("PRAGMA user_version").fetchone() == (_WHOLE,):
            return True
        return not _half(connection)


def _half(connection: sqlite3.Connection) -> bool:
    """Whether it is empty, or has some of MLflow's tables and nothing in them."""
    tables = {
        name
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    }
    if not tables:
        return True
    if "experiments" not in tables:
        return False  # somebody else's
    others = {t for t in tables if not t.startswith(("sqlite_", "_alembic_tmp_"))} - {*_FURNISHED}
    queries = [f'SELECT 1 FROM "{table}"' for table in sorted(others)]
    queries.append("SELECT 1 FROM experiments WHERE experiment_id != 0")
    return not any(connection.execute(f"{query} LIMIT 1").fetchone() for query in queries)


def prepare(root: Path, fill: Callable[[Path], None]) -> str | None:
    """Make the database of the store ``root`` if there is none, with the tables that ``fill`` makes
    in a file, and have it point to this folder. The caller must be `alone`.

    Returns the folder that its runs were recorded in where it was another, else None.
    """
    database = root / NAME
    if not is_there(database):
        _make(root, fill)
    with closing(sqlite3.connect(database, timeout=WAIT_SECONDS)) as connection:
        # Write-ahead logging lets the UI read while a sweep writes; it stays set in the file.
        connection.execute("PRAGMA journal_mode=WAL")
    (root / ARTIFACTS).mkdir(exist_ok=True)
    return relocate(database, root)


def _make(root: Path, fill: Callable[[Path], None]) -> None:
    """Beside its place, and moved there when it is whole: whatever interrupts this leaves no half."""
    for draft in root.glob(f"{NAME}.*.making*"):  # of a process that was killed
        draft.unlink()
    draft = root / f"{NAME}.{os.getpid()}-{os.urandom(4).hex()}.making"
    try:
        fill(draft)
        with closing(sqlite3.connect(draft, timeout=WAIT_SECONDS)) as connection:
            connection.execute(f"PRAGMA user_version={_WHOLE}")
        # The new database must not be given the log of a half one.
        for side in _SIDE_FILES:
            Path(f"{root / NAME}{side}").unlink(missing_ok=True)
        draft.replace(root / NAME)
    finally:
        for left in (draft, *(Path(f"{draft}{side}") for side in _SIDE_FILES)):
            with suppress(OSError):
                left.unlink()


def writable(root: Path) -> bool:
    files = (root, *(Path(f"{root / NAME}{side}") for side in ("", *_SIDE_FILES)))
    return all(os.access(file, os.W_OK) for file in files if file.exists())


def copy(root: Path, folder: Path) -> Path:
    """A copy of the store's database in ``folder``, pointing to the files of ``root``: SQLite must
    write beside a database even to read it."""
    made = folder / NAME
    try:
        with (
            closing(sqlite3.connect(f"file:{quote(str(root / NAME))}?mode=ro", uri=True)) as here,
            closing(sqlite3.connect(made)) as there,
        ):
            here.backup(there)
    except sqlite3.OperationalError:  # a log beside it that nobody has open
        for side in ("", "-wal"):
            if Path(f"{root / NAME}{side}").exists():
                shutil.copyfile(f"{root / NAME}{side}", f"{made}{side}")
    relocate(made, root)
    return made


@contextmanager
def plain_path(database: Path) -> Iterator[Path]:
    """The database at a path that a URI can hold: SQLAlchemy and MLflow differ on % and ? in one."""
    if not set("%?") & set(str(database)):
        yield database
        return
    with tempfile.TemporaryDirectory(prefix="longlag-") as folder:
        (Path(folder) / "store").symlink_to(database.parent, target_is_directory=True)
        yield Path(folder) / "store" / database.name


def optimize(database: Path) -> None:
    """Refresh SQLite's query statistics, which speeds up metric histories many times over."""
    with closing(sqlite3.connect(database, timeout=WAIT_SECONDS)) as connection, connection:
        connection.execute("PRAGMA analysis_limit=1000")
        connection.execute("ANALYZE")


def make_folder(root: Path, undo: ExitStack) -> None:
    """Made if need be; ``undo`` takes it away again if it stays empty."""
    if not root.is_dir():
        root.mkdir(parents=True, exist_ok=True)  # another process may make it in this moment
        undo.callback(_remove_empty, root)


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def check_folder(root: Path) -> None:
    """Raises UserError when nothing can be written there. It is not made: what is refused after this
    leaves no folder."""
    there = root
    while not os.path.lexists(there):
        there = there.parent
    if not there.is_dir():
        raise UserError(f"cannot write to {root}: {there} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"cannot write to {root}: permission denied")
