"""Files that a user has: finding them, reading them, and one line for whatever is wrong with them."""

import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path

from study.errors import MissingFiles, UserError

LARGEST_FIELD = 1_000_000  # characters; more in one field of a CSV file is an unclosed quote


def missing(task: str, path: str, files: str, source: str) -> MissingFiles:
    """Which files a task needs, where they were looked for, and how one usually comes by them."""
    unset = "task.path is not set (--set task.path=…)"
    where = f"found none in task.path = {path!r}" if path else unset
    return MissingFiles(f"task {task!r} needs {files}, but {where}; {source}")


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


def read_bytes(path: Path) -> bytes:
    """Raises UserError for what cannot be read and for an empty file."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    if not content:
        raise UserError(f"{path} is empty")
    return content


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


def read_table(path: Path) -> tuple[list[str], list[list[str]]]:
    """The header and the rows of a CSV file (.tsv: tabs), rows as long as the header.

    Raises UserError with the line of the first thing wrong.
    """
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    rows = _rows(path, read_text(path), delimiter)
    _, header = next(rows, (0, []))
    header = [name.strip() for name in header]
    _check_header(path, header, delimiter)
    table = []
    for line, row in rows:
        if len(row) != len(header):
            raise UserError(f"{path}, line {line}: {len(row)} fields, the header has {len(header)}")
        table.append(row)
    if not table:
        raise UserError(f"{path} has no rows below its header")
    return header, table


def _check_header(path: Path, header: list[str], delimiter: str) -> None:
    other = next((sign for sign in ";,\t|" if sign in header[0]), None) if header else None
    if len(header) == 1 and other:
        raise UserError(
            f"{path}: its fields are separated by {other!r}, not by {delimiter!r}; save it with "
            "commas and decimal points (or tabs, named .tsv)"
        )
    for place, name in enumerate(header, 1):
        if not name or name in header[: place - 1]:
            what = f"{name!r} comes twice" if name else f"column {place} has no name"
            raise UserError(f"{path}: the first line must name every column, each once ({what})")


def _rows(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    # Not splitlines: within a text U+0085 and U+2028, among others, do not end a line of the file.
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    before = csv.field_size_limit(LARGEST_FIELD)
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise UserError(
            f"{path}, line {reader.line_num}: {error}; a quote must be closed, and one inside a "
            "quoted field written twice"
        ) from None
    finally:
        csv.field_size_limit(before)


def column(path: Path, header: list[str], name: str, setting: str) -> int:
    """Where a column stands. Raises UserError with the known ones and the setting that names it."""
    if name not in header:
        told = ", ".join(known[:40] for known in header[:30]) + (", …" if len(header) > 30 else "")
        raise UserError(f"{path} has no column {name!r}; its columns: {told}; set {setting}")
    return header.index(name)
