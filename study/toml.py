"""TOML files, read and written."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from study.errors import UserError

Scalar = str | int | float | bool


def read_toml(path: Path) -> dict[str, Any]:
    """Raises UserError with file and line."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"no such file: {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from None
    except (ValueError, RecursionError) as error:  # numbers and nesting without end among them
        raise UserError(f"{path} is not valid TOML: {error}") from None


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
