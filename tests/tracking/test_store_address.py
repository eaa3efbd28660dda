"""A store that MLFLOW_TRACKING_URI names and that is none: one line, no password, nothing written."""

import sys
from pathlib import Path

import pytest

import study.commands.entry
from study.base.errors import UserError
from study.tracking.store import Store
from study.tracking.store_address import VARIABLE, given_address, refusal, without_password

NONE = [
    ("garbage", "is a folder, which MLflow no longer writes"),
    ("relative/path", "is a folder"),
    ("/abs", "is a folder"),
    ("file:/tmp/x", "is a folder"),
    ("file:///tmp/x", "is a folder"),
    ("ftp://a", "give a database or a server"),
    ("databricks", "is a folder"),
    ("databricks://profile", "give a database or a server"),
    ("uc:x", "give a database or a server"),
    ("http://", "names no host"),
    ("http://[::1", "Invalid IPv6"),
    ("http://127.0.0.1:notaport", "Port "),
    ("http://127.0.0.1:99999", "Port "),
    ("x" * 5000, "is a folder"),
    ("sqlite:///" + "x" * 5000, "no file is called so"),
    ("http://a\x1b[31m", "no address has"),
    ("sqlite://", "nothing would be kept"),
    ("sqlite:///:memory:", "nothing would be kept"),
    ("sqlite:///no/such/x.db", "there is no"),
    ("sqlite:///.", "it is no file"),
    ("sqlite://x.db", "three slashes"),
    ("postgresql+nothing://me:secret@h/x", "no driver 'postgresql+nothing'"),
    ("postgresql+pg8000://me:secret@h/x", "no package"),
    ("postgresql:me:secret", "no address of a database"),
    ("mysql+pymysql://me:secret@h/x?password=secret", "Python has no"),
    ("mssql+pymssql://me:sec:r/et@secret@h/x", "Python has no"),
    ("http://me:secret@127.0.0.1:1", "no server answers"),
]


@pytest.mark.parametrize(("uri", "fragment"), NONE, ids=[uri[:40] for uri, _ in NONE])
def test_an_address_of_no_store_is_one_short_line_and_nothing_is_written(
    uri: str, fragment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for create in (True, False):
        with pytest.raises(UserError, match="cannot open the store") as refused:
            Store.open(tmp_path, create)
        told = str(refused.value)
        assert fragment in told
        assert "secret" not in told
        assert told.isprintable()
        assert len(told) < 600
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("uri", ["garbage", "http://", "postgresql+nothing://me:secret@h/x"])
@pytest.mark.parametrize("command", [("train",), ("sweep", "smoke"), ("report", "x"), ("ui",)])
def test_a_command_without_its_store_is_one_line_and_writes_nothing(
    uri: str,
    command: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, uri)
    monkeypatch.setattr(sys, "argv", ["longlag", *command])
    with pytest.raises(SystemExit) as end:
        study.commands.entry.main()
    out, err = capsys.readouterr()
    assert (end.value.code, out, len(err.splitlines())) == (2, "", 1)
    assert "cannot open the store" in err
    assert "secret" not in err
    assert list(tmp_path.iterdir()) == []


def test_what_is_an_address_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert given_address(create=True) is None
    for uri in ("http://127.0.0.1:5000", "https://a.b/c", f"sqlite:///{tmp_path}/x.db"):
        monkeypatch.setenv(VARIABLE, uri)
        assert given_address(create=True) == uri
    with pytest.raises(UserError, match="no such file"):
        given_address(create=False)
    (tmp_path / "x.db").touch()
    assert given_address(create=False) == uri


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://me:secret@host/x",
        "postgresql://me:sec/ret@host/x",
        "postgresql://me:sec@secret@host/x",
        "postgresql://host/x?user=me&password=secret&a=b",
        "http://secret@host",
    ],
)
def test_no_password_is_told(uri: str) -> None:
    assert "secret" not in without_password(uri)
    assert "host" in without_password(uri)
    told = str(refusal(uri, ValueError(f"could not connect to {uri} (it said '{uri}')\nmore")))
    assert "sec" not in told
    assert "host" in told
