"""Files that a user has: finding them, reading them, and one line for whatever is wrong with them."""

import csv
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
    """The path with ~ expanded, if something is there."""
    found = Path(path).expanduser()
    try:
        return found if str(path) and found.exists() else None
    except (OSError, ValueError):  # a name too long, or with a null byte
        return None


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
            f"{path} is not UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}"
        ) from None
    if "\0" in text:
        raise UserError(f"{path} is not text: it has a null character at {text.index(chr(0))}")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_table(path: Path) -> tuple[list[str], list[list[str]]]:
    """The header and the rows of a CSV file (.tsv: tabs), rows as long as the header.

    Raises UserError with the line of the first thing wrong.
    """
    lines = read_text(path).splitlines(keepends=True)
    rows = _rows(path, lines, "\t" if path.suffix.lower() == ".tsv" else ",")
    _, header = next(rows, (0, []))
    header = [name.strip() for name in header]
    if len(set(header)) != len(header) or not all(header):
        raise UserError(f"{path}: the first line must name every column, each once")
    table = []
    for line, row in rows:
        if len(row) != len(header):
            raise UserError(f"{path}, line {line}: {len(row)} fields, the header has {len(header)}")
        table.append(row)
    if not table:
        raise UserError(f"{path} has no rows below its header")
    return header, table


def _rows(path: Path, lines: list[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    before = csv.field_size_limit(LARGEST_FIELD)
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: {error}") from None
    finally:
        csv.field_size_limit(before)


def column(path: Path, header: list[str], name: str) -> int:
    """Where a column stands. Raises UserError with the known ones."""
    if name not in header:
        told = ", ".join(header[:30]) + (", …" if len(header) > 30 else "")
        raise UserError(f"{path} has no column {name!r}; its columns: {told}")
    return header.index(name)
