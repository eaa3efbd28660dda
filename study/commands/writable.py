"""A file that the user names to be written."""

import os
from pathlib import Path

from study.base.errors import UserError


def check_writable(path: Path) -> None:
    """Raises UserError unless a file of that name can be written."""
    there = path if path.exists() else path.parent
    if path.is_dir() or (path.exists() and not path.is_file()):
        raise UserError(f"cannot write {path}: it is no file")
    if not path.parent.is_dir():
        raise UserError(f"cannot write {path}: there is no folder {path.parent}")
    if not os.access(there, os.W_OK):
        raise UserError(f"cannot write {path}: permission denied")


def write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None
