"""The address of a store elsewhere, MLFLOW_TRACKING_URI, as far as it can be judged by reading it."""

import os
import re
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from study.base.errors import UserError
from study.base.limits import shown

VARIABLE = "MLFLOW_TRACKING_URI"
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_SERVERS = ("http", "https")
_LONGEST = 240  # characters of a reason, of which some libraries give pages
_EXAMPLES = "such as sqlite:////folder/mlflow.db, postgresql://… or http://127.0.0.1:5000"


def given_address(create: bool) -> str | None:
    """What the variable names; None where it names nothing.

    Raises UserError, having written nothing, for what cannot be the address of a store: of a kind that
    MLflow does not write, without the library for it, or, unless ``create``, of a file that is not there.
    """
    uri = os.environ.get(VARIABLE, "").strip()
    if not uri:
        return None
    try:
        problem = _problem(uri, create)
    except ValueError as error:  # of an address that is none, such as one with half a bracket
        problem = str(error)
    except OSError as error:  # of a file's name that no file can have
        problem = f"no file is called so ({error.strerror})"
    if problem:
        raise refusal(uri, problem)
    return uri


def refusal(uri: str, reason: object) -> UserError:
    """The error for a store that cannot be opened, in which no password is."""
    told = str(reason).strip() or type(reason).__name__
    line = without_password(told.replace(uri, without_password(uri)).splitlines()[0])
    if "Max retries exceeded" in line:
        line = "no server answers there"
    if len(line) > _LONGEST:
        line = f"{line[:_LONGEST]} …"
    return UserError(f"cannot open the store {shown(without_password(uri), 120)}: {line}")


def without_password(text: str) -> str:
    """Addresses in it without who opens them: ``postgresql://***@host/name``."""
    text = re.sub(r"^((?:postgresql|mysql|mssql)[+\w]*:)(?!//).*", r"\1***", text)
    text = re.sub(r"(?<=://)[^\s'\"]*@", "***@", text)
    return re.sub(r"(?i)(password|passwd|pwd|token)=[^&\s'\"]*", r"\1=***", text)


def _problem(uri: str, create: bool) -> str | None:
    if not uri.isprintable():
        return f"{VARIABLE} holds characters that no address has"
    parts = urlsplit(uri)
    kind = parts.scheme.partition("+")[0]
    if kind in _SERVERS:
        _ = parts.port  # a ValueError where it is no number, or too large
        return None if parts.hostname else f"{VARIABLE} names no host; give one, {_EXAMPLES}"
    if kind in _DATABASES:
        library = _missing_library(uri)
        if library:
            how = "pip install 'longlag[postgres]'" if "'psycopg'" in library else "install it"
            return f"Python has no {library} to open it with; {how}, or leave out {VARIABLE}"
        return _file_problem(parts, create) if kind == "sqlite" else None
    what = "is a folder, which MLflow no longer writes" if kind in ("", "file") else "is none"
    return f"{VARIABLE} {what}; give a database or a server, {_EXAMPLES}"


def _missing_library(uri: str) -> str | None:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        driver = make_url(uri).get_dialect()
        driver.import_dbapi()
    except NoSuchModuleError:
        return f"driver {uri.partition(':')[0]!r}"
    except ArgumentError:
        raise ValueError(f"{VARIABLE} is no address of a database, {_EXAMPLES}") from None
    except ImportError as error:
        return f"package {error.name!r}"
    return None


def _file_problem(parts: SplitResult, create: bool) -> str | None:
    name = parts.path.removeprefix("/")
    if parts.netloc:
        return "sqlite has three slashes before a name, and four before a path from the root"
    if name in ("", ":memory:"):
        return f"{VARIABLE} names no file, and nothing would be kept"
    file = Path(name)
    if file.exists():
        return None if file.is_file() else "it is no file"
    if not create:
        return "there is no such file"
    if not file.resolve().parent.is_dir():
        return f"there is no folder {shown(str(file.parent))}"
    return None
