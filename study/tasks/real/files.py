"""Files that a user has: finding them, reading them, and one line for whatever is wrong with them."""

import os
import stat
from pathlib import Path

from study.base.errors import MissingFiles, UserError

LARGEST_FILE = 1 << 30  # bytes; as text and then as numbers it takes several times as many
MOST_QUOTED = 40  # characters of what a file holds, in a message
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def missing(task: str, path: str, files: str, source: str) -> MissingFiles:
    """Which files a task needs, where they were looked for, and how one usually comes by them."""
    unset = "task.path is not set (--set task.path=…)"
    where = f"found none in task.path = {path!r}{_kind(path)}" if path else unset
    return MissingFiles(f"task {task!r} needs {files}, but {where}; {source}")


def _kind(path: str) -> str:
    """What is there instead, if that is no file and no folder."""
    try:
        mode = Path(path).expanduser().stat().st_mode
    except (OSError, ValueError, RuntimeError):
        return ""
    return "" if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else f", which is {_named(mode)}"


def _named(mode: int) -> str:
    return KINDS.get(stat.S_IFMT(mode), "something else")


def existing(path: str | Path) -> Path | None:
    """The path with ~ expanded, if something is there. Raises UserError for a closed folder."""
    try:
        found = Path(path).expanduser()
        if not str(path) or not found.exists():
            return None
    except (OSError, ValueError, RuntimeError):  # too long, with a null byte, or of ~nobody
        return None
    if found.is_dir() and not os.access(found, os.R_OK | os.X_OK):
        raise UserError(f"cannot read {found}: permission denied")
    return found


def quoted(text: str) -> str:
    """As it stands in a message: in quotes, with an end to it."""
    return repr(text if len(text) <= MOST_QUOTED else f"{text[:MOST_QUOTED]}…")


def check_regular(path: Path) -> int:
    """Its size in bytes. Raises UserError for a pipe, which would be waited for, and the like."""
    try:
        found = path.stat()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    if not stat.S_ISREG(found.st_mode):
        raise UserError(f"{path} is {_named(found.st_mode)}, not a file")
    return found.st_size


def check_size(what: object, size: int) -> None:
    """Raises UserError for more bytes than are read at once."""
    if size > LARGEST_FILE:
        raise UserError(
            f"{what} has {size / 1e9:.1f} GB, and at most {LARGEST_FILE / 1e9:.1f} GB are read; take a "
            "part of it"
        )


def read_bytes(path: Path) -> bytes:
    """Raises UserError for what cannot be read, is no file, is empty or larger than LARGEST_FILE."""
    check_size(path, check_regular(path))
    try:
        # Files in /proc have no size, and some, such as kmsg, would be waited for.
        with open(path, "rb", opener=_without_waiting) as opened:
            content = opened.read(LARGEST_FILE + 1) or b""
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except MemoryError:
        raise UserError(f"{path} does not fit in memory; take a part of it") from None
    check_size(path, len(content))
    if not content:
        raise UserError(f"{path} is empty")
    return content


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def read_text(path: Path) -> str:
    """UTF-8 text with \\n at the ends of lines. Raises UserError for anything else."""
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is not UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}; "
            "save it as UTF-8"
        ) from None
    if "\0" in text:
        place = text.index("\0")
        raise UserError(f"{path} is not text: it has a null character at {place}; save it as UTF-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")
