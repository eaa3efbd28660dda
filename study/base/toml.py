"""TOML files, read and written."""

import json
import os
import re
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from study.base.errors import UserError
from study.base.limits import SEED, TOML_BYTES, TOML_DEPTH, shown

Scalar = str | int | float | bool
_PART = r"""(?:[A-Za-z0-9_-]++|"[^"\n]*+"|'[^'\n]*+')"""
# tomllib's time grows with the square of a dotted name's parts.
_LONG_NAME = re.compile(
    rf"(?<![A-Za-z0-9_.'\"-]){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{TOML_DEPTH},}}"
)


def read_toml(path: Path) -> dict[str, Any]:
    """Raises UserError with file and line."""
    text = _text(path)
    if name := _LONG_NAME.search(text):
        raise UserError(
            f"{path}: names have at most {TOML_DEPTH} parts with dots between them "
            f"(got {shown(name[0])})"
        )
    try:
        read = tomllib.loads(text)
    except RecursionError:
        raise UserError(f"{path}: {_TOO_DEEP}") from None
    except ValueError as error:  # a number without end among them
        raise UserError(f"{path} is not valid TOML: {error}") from None
    _check_values(path, read)
    return read


_TOO_DEEP = f"tables and lists stand at most {TOML_DEPTH} deep in one another"


def _text(path: Path) -> str:
    """Of a regular file only: a pipe or a device would be waited for, or have no end."""
    try:
        # Opening a pipe that nobody writes to waits, unless told not to.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with open(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise UserError(f"cannot read {path}: it is no regular file")
            content = file.read(TOML_BYTES + 1)
    except FileNotFoundError:
        raise UserError(f"no such file: {path}") from None
    except IsADirectoryError:
        raise UserError(f"cannot read {path}: it is a folder") from None
    except (OSError, ValueError) as error:  # a name with a character 0 is a ValueError
        if isinstance(error, UserError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot read {path}: {reason}") from None
    if len(content) > TOML_BYTES:
        raise UserError(f"cannot read {path}: it has more than {TOML_BYTES:,} bytes")
    try:
        return content.decode("utf-8-sig")  # some editors begin a file with a byte order mark
    except UnicodeDecodeError as error:
        raise UserError(f"cannot read {path}: it is no text in UTF-8 ({error.reason})") from None


def _check_values(path: Path, read: Mapping[str, Any]) -> None:
    """Raises UserError for what is too deep to walk through, and for numbers that TOML does not have."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), read)]
    while waiting:
        where, value = waiting.pop()
        if len(where) > TOML_DEPTH:
            raise UserError(f"{path}: {_TOO_DEEP} (at {shown('.'.join(where))})")
        if isinstance(value, Mapping):
            waiting += [((*where, key), inner) for key, inner in value.items()]
        elif isinstance(value, list):
            waiting += [((*where, "[]"), inner) for inner in value]
        elif isinstance(value, int) and abs(value) > SEED:
            raise UserError(
                f"{path}: {'.'.join(where)}: TOML's whole numbers have 64 bits (got {shown(value)})"
            )


def write_toml(nested: Mapping[str, Any]) -> str:
    """Scalars first, then tables; for the scalars that a configuration has."""
    lines: list[str] = []

    def write(table: Mapping[str, Any], path: tuple[str, ...]) -> None:
        scalars = {k: v for k, v in table.items() if not isinstance(v, Mapping)}
        if path and scalars:
            lines.append(f"\n[{'.'.join(path)}]")
        lines.extend(f"{key} = {_toml_scalar(value)}" for key, value in scalars.items())
        for key, value in table.items():
            if isinstance(value, Mapping):
                write(value, (*path, key))

    write(nested, ())
    return "\n".join(lines).lstrip("\n") + "\n"


def _toml_scalar(value: Scalar) -> str:
    # JSON's strings, booleans and numbers are TOML's, given that non-ASCII letters are kept.
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
