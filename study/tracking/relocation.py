"""Where the files of a folder's store lie, wherever the folder was when they were written.

MLflow records absolute paths: of an experiment ``…/mlruns/artifacts/NAME``, of a run
``…/mlruns/artifacts/NAME/ID/artifacts``. Only what comes after ``mlruns`` is true of a folder that
was moved or copied since. Its default experiment has ``…/mlruns/0``.
"""

import re
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

FOLDER = "mlruns"
ARTIFACTS = "artifacts"

_PLACE = re.compile(rf"(?P<root>/.*/{FOLDER}|/{FOLDER})/(?P<rest>({ARTIFACTS}/[^/]+|\d+))", re.S)
_RUN = re.compile(rf"{_PLACE.pattern}(?P<run>/[0-9a-f]{{32}}/artifacts)", re.S)

# Every column that may hold a place below an experiment's, a user's own models among them.
_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def recorded(path: Path) -> str:
    """A path as MLflow takes one: it reads %20 as a blank."""
    return str(path).replace("%", "%25")


def place(root: Path, uri: str) -> Path | None:
    """The folder of a run's files below ``root``, this store's; None when they are elsewhere, on a
    server for instance."""
    found = _RUN.fullmatch(_path(uri))
    return None if found is None else root / found["rest"] / found["run"].lstrip("/")


def put(files: Mapping[str, bytes], folder: Path) -> None:
    """Each of them appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        draft = folder / f".{name}.writing"
        draft.write_bytes(content)
        draft.replace(folder / name)


def relocate(database: Path, root: Path) -> str | None:
    """Let everything recorded in a database point below ``root``, in one transaction.

    Returns the folder that the study's runs were recorded in where it was another, else None.
    """
    with closing(sqlite3.connect(database, timeout=20)) as connection, connection:
        places = {
            experiment: _root(_PLACE, location)
            for experiment, location in connection.execute(
                "SELECT experiment_id, artifact_location FROM experiments"
            )
        }
        runs = {_root(_RUN, uri) for (uri,) in connection.execute("SELECT artifact_uri FROM runs")}
        ours = recorded(root)
        others = {old for old in {*places.values(), *runs} if old is not None} - {ours}
        for old in others:
            _replace(connection, old, ours)
        # MLflow itself makes experiment 0, below whatever folder a program was started in.
        told = {old for key, old in places.items() if key != 0} | runs
    return next((unquote(old) for old in sorted(others & told - {None})), None)


def _replace(connection: sqlite3.Connection, old: str, new: str) -> None:
    for table, column in _existing(connection, _COLUMNS):
        connection.execute(
            f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
            (new, len(old) + 1, len(old) + 1, f"{old}/"),
        )


def _existing(
    connection: sqlite3.Connection, columns: Iterable[tuple[str, str]]
) -> list[tuple[str, str]]:
    return [
        (table, column)
        for table, column in columns
        if any(row[1] == column for row in connection.execute(f"PRAGMA table_info({table})"))
    ]


def _root(pattern: re.Pattern[str], location: str | None) -> str | None:
    """The part of a recorded place that is to be replaced, as it is written there."""
    found = pattern.fullmatch(location or "")
    return found["root"] if found else None


def _path(uri: str) -> str:
    return unquote(uri.removeprefix("file://"))
