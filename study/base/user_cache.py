"""What is kept for later in the user's cache folder, where anything may be missing or damaged."""

import json
import os
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any


def cache_folder() -> Path:
    """$XDG_CACHE_HOME/longlag or ~/.cache/longlag, made if need be.

    Raises OSError when it cannot be, and when others may write to it: a library loaded from there
    runs with the user's rights.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    folder = (Path(base) if os.path.isabs(base) else Path("~/.cache").expanduser()) / "longlag"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.stat()
    if status.st_uid != os.geteuid():
        raise PermissionError(f"cache folder {folder} belongs to another user")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(f"cache folder {folder} can be written by others; chmod 700 it")
    return folder


def recall(kind: str, of: Mapping[str, Any]) -> Any:
    """What `keep` was given under the same ``kind`` and ``of``; None where that is not there whole."""
    try:
        found = json.loads(_path(kind, of).read_text(encoding="utf-8"))
        content, checksum = found["content"], found["checksum"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return content if checksum == _checksum(of, content) else None


def keep(kind: str, of: Mapping[str, Any], content: Any) -> None:
    """Keeps what JSON can hold for `recall`, complete or not at all, where there is a place for it."""
    whole = {"of": of, "content": content, "checksum": _checksum(of, content)}
    with suppress(OSError):  # what can be found out again need not be kept
        path = _path(kind, of)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".keeping-")
        try:
            with open(handle, "w", encoding="utf-8") as file:
                json.dump(whole, file)
            os.replace(temporary, path)
        finally:
            Path(temporary).unlink(missing_ok=True)


def _path(kind: str, of: Mapping[str, Any]) -> Path:
    return cache_folder() / f"{kind}-{_checksum(of)[:32]}.json"


def _checksum(*parts: Any) -> str:
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
