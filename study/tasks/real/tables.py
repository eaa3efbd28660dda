"""Tables in text: rows of CSV and TSV files, none of which swallows the ones below it."""

import csv
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from study.base.errors import UserError
from study.tasks.real.files import quoted, read_text

LARGEST_FIELD = 1_000_000  # characters; more in one field of a CSV file is an unclosed quote
MOST_LISTED = 30  # columns in a message
ENCLOSED = re.compile(r'"(?:[^"]|"")*"')
QUOTES = "a quote must be closed, and one inside a quoted field written twice"


@dataclass(frozen=True)
class Row:
    line: int  # of the file, from 1, in which it begins
    fields: list[str]
    told: Sequence[str]  # the lines that it is made of


class Table:
    """A header and rows as long as it, of a CSV file, or of a .tsv file, where tabs separate.

    In CSV a field that begins with a quote ends with one, and may hold commas and line breaks (RFC
    4180). A .tsv file's quotes mean nothing (IANA, text/tab-separated-values), so that each line is a
    row; but where all its fields with a quote are enclosed in quotes as in CSV, these are taken off,
    and where its lines make no rows and CSV's rules do, these hold.
    """

    def __init__(self, path: Path) -> None:
        """Raises UserError, with the line, for a file that is no such table."""
        self.path = path
        self._text = read_text(path)
        self._delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
        if self._delimiter == "\t":
            self._of_lines = '"' not in self._text or not self._is_quoted()
        else:
            self._of_lines = '"' not in self._text
        self._enclosed = self._of_lines and '"' in self._text and self._all_enclosed()
        if not self._of_lines:
            self._check_quotes()
        first = next(self._records(), None)
        self.header = [name.replace("\n", " ").strip() for name in first.fields] if first else []
        self._check_header(first.told if first else ())
        self._places = {name: place for place, name in enumerate(self.header)}

    def __iter__(self) -> Iterator[Row]:
        """The rows below the header. Raises UserError for one that is longer or shorter, or none."""
        rows, found = self._records(), False
        next(rows)
        for row in rows:
            found = True
            if len(row.fields) != len(self.header):
                raise self._wrong(row)
            yield row
        if not found:
            raise UserError(f"{self.path} has no rows below its header")

    def column(self, name: str, setting: str) -> int:
        """Where it stands. Raises UserError with the known ones and the setting that names it."""
        if name not in self._places:
            told = ", ".join(known[:40] for known in self.header[:MOST_LISTED])
            more = ", …" if len(self.header) > MOST_LISTED else ""
            raise UserError(
                f"{self.path} has no column {quoted(name)}; its columns: {told}{more}; set {setting}"
            )
        return self._places[name]

    def _wrong(self, row: Row) -> UserError:
        made = f"{len(row.fields)} fields, the header has {len(self.header)}"
        quote = any('"' in line for line in row.told)
        return UserError(
            f"{self.path}, line {row.line}: {made}{f'; it has a quote: {QUOTES}' if quote else ''}"
        )

    def _check_header(self, told: Sequence[str]) -> None:
        header = self.header
        if not header:
            raise UserError(f"{self.path} has no line that names the columns")
        other = next((sign for sign in ";,\t|" if sign in header[0]), None)
        if len(header) == 1 and other:
            raise UserError(
                f"{self.path}: its fields are separated by {other!r}, not by {self._delimiter!r}; save "
                "it with commas and decimal points (or tabs, named .tsv)"
            )
        if len(told) > 1 and all(line.count(self._delimiter) + 1 == len(header) for line in told):
            raise UserError(
                f"{self.path}, line 1: a quote there joins lines 1 to {len(told)} to one header, though "
                "each has as many fields; close the quote, or leave it out"
            )
        seen: set[str] = set()
        for place, name in enumerate(header, 1):
            if not name or name in seen:
                what = f"{quoted(name)} comes twice" if name else f"column {place} has no name"
                raise UserError(
                    f"{self.path}: the first line must name every column, each once ({what})"
                )
            if any(unicodedata.category(sign) == "Cc" for sign in name):  # escapes of a terminal
                raise UserError(
                    f"{self.path}: the name {quoted(name)} has a control character in it"
                )
            seen.add(name)

    # Records: rows of whatever length, the header among them

    def _records(self) -> Iterator[Row]:
        if not self._of_lines:
            yield from self._by_quotes()
            return
        for row in self._read(csv.QUOTE_NONE):
            if self._enclosed:
                row.fields[:] = [_inside(field) for field in row.fields]
            yield row

    def _by_quotes(self) -> Iterator[Row]:
        return self._read(csv.QUOTE_MINIMAL)

    def _read(self, quoting: int) -> Iterator[Row]:
        lines = _Lines(self._text)
        reader = csv.reader(lines, delimiter=self._delimiter, strict=True, quoting=quoting)  # type: ignore[arg-type]
        line = 1
        before = csv.field_size_limit(LARGEST_FIELD)
        try:
            for fields in reader:
                if fields:
                    yield Row(line, fields, lines.taken)
                line = reader.line_num + 1
                lines.taken = []
        except csv.Error as error:
            raise UserError(self._broken(line, reader.line_num, str(error))) from None
        finally:
            csv.field_size_limit(before)

    def _broken(self, first: int, last: int, error: str) -> str:
        where = f"{self.path}, line {first}"
        if "end of data" in error:
            return (
                f"{where}: a quote in the row that begins there is never closed ({error}); {QUOTES}"
            )
        if last > first:
            where += f": the row that begins there goes on in line {last}"
        return f"{where}: {error}; {QUOTES}"

    # Which rules hold

    def _is_quoted(self) -> bool:
        """Whether a .tsv file's lines make no rows, and the rules of CSV do."""
        counts = (line.count("\t") for line in _Lines(self._text) if line.strip("\n"))
        wanted = next(counts)
        if all(count == wanted for count in counts):
            return False
        try:
            return all(
                len(row.fields) == wanted + 1 and _bare(row) is None for row in self._by_quotes()
            )
        except UserError:
            return False

    def _all_enclosed(self) -> bool:
        return all(
            ENCLOSED.fullmatch(field)
            for row in self._read(csv.QUOTE_NONE)
            for field in row.fields
            if '"' in field
        )

    def _check_quotes(self) -> None:
        """Raises UserError where quotes are no enclosure, and yet one joins lines to a row.

        A program that encloses fields in quotes encloses each that has a quote in it. Where one stands
        bare, others that begin a field may be just as bare, and swallow what is below them.
        """
        joined: Row | None = None
        bare: Row | None = None
        for row in self._by_quotes():
            joined = joined or (row if len(row.told) > 1 else None)
            bare = bare or _bare(row)
            if joined and bare:
                raise UserError(
                    f"{self.path}, line {joined.line}: a quote there joins lines {joined.line} to "
                    f"{joined.line + len(joined.told) - 1}, but in line {bare.line} one stands bare in a "
                    f"field; {QUOTES}"
                )


class _Lines:
    """The lines of a text, each with its \\n, and in ``taken`` those since it was last emptied.

    Not splitlines: within a text U+0085 and U+2028, among others, do not end a line of the file.
    """

    def __init__(self, text: str) -> None:
        self.taken: list[str] = []
        self._text = text

    def __iter__(self) -> Iterator[str]:
        start = 0
        while start < len(self._text):
            end = self._text.find("\n", start) + 1 or len(self._text)
            line = self._text[start:end]
            self.taken.append(line)
            yield line
            start = end


def _bare(row: Row) -> Row | None:
    """The row, if a field in it has a quote and is not enclosed in quotes."""
    told = "".join(row.told)
    for field in row.fields:
        if '"' in field and f'"{field.replace(chr(34), chr(34) * 2)}"' not in told:
            return row
    return None


def _inside(field: str) -> str:
    return field[1:-1].replace('""', '"') if field.startswith('"') else field
