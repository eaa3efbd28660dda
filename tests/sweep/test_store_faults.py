"""The store under fault: interrupted while it is made, locked, away, not to be written."""

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path

import pytest
from mlflow import MlflowClient
from test_sweep import (
    ONE_ARM,
    check_complete,
    copy_database,
    empty_store,
    folder,
    runs,
    snapshot,
    space,
    sweep,
)

import study.tracking.database
import study.tracking.server
import study.tracking.store
from analysis.data.runs import read_study
from study.base.errors import UserError
from study.sweep.driver import Sweep
from study.sweep.search import ArmSearch
from study.tracking.database import NAME, is_there
from study.tracking.store import Store
from study.tracking.store_errors import StoreError, hidden, reason, shown

__all__ = ["empty_store", "folder"]  # fixtures

ROOT = Path(__file__).resolve().parents[2]
OPEN = "from study.tracking.store import Store; print('ready', flush=True); Store.open(create=True)"


def start(place: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", OPEN]
    return subprocess.Popen(
        command,
        cwd=place,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


# Interrupted while it is made


@pytest.mark.parametrize("moment", ["begun", "halfway"])
def test_a_start_that_is_killed_leaves_nothing_in_the_way(tmp_path: Path, moment: str) -> None:
    process = start(tmp_path)
    try:
        deadline = time.monotonic() + 120

        def there() -> bool:
            made = list((tmp_path / "mlruns").glob(f"{NAME}*.making"))
            # Its first tables are 4 % of a whole one's size.
            return bool(made) and made[0].stat().st_size > (0 if moment == "begun" else 300_000)

        while not there():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.002)
    finally:
        process.kill()
        process.communicate()
    assert not (tmp_path / "mlruns" / NAME).exists()
    with pytest.raises(UserError, match="no store at"):
        Store.open(tmp_path)
    Store.open(tmp_path, create=True).experiment("s", {})
    assert not list((tmp_path / "mlruns").glob("*.making*"))


HALF = {
    "nothing yet": "",
    "the first tables": "CREATE TABLE experiments (experiment_id INTEGER, name TEXT);"
    "CREATE TABLE runs (run_uuid TEXT);",
    "a migration's table without its mark": "CREATE TABLE experiments (experiment_id INTEGER);"
    "CREATE TABLE trace_info (request_id TEXT);"
    "CREATE TABLE alembic_version (version_num TEXT);"
    "INSERT INTO alembic_version VALUES ('867495a8f9d4');"
    "INSERT INTO experiments VALUES (0);",
}


@pytest.mark.parametrize("what", HALF)
def test_half_a_database_of_an_earlier_version_is_made_anew(
    tmp_path: Path, empty_store: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        study.tracking.store, "_make_tables", lambda file: shutil.copy(empty_store, file)
    )
    database = tmp_path / "mlruns" / NAME
    database.parent.mkdir()
    writer = sqlite3.connect(database)
    writer.execute("PRAGMA journal_mode=WAL")
    writer.executescript(HALF[what])
    writer.commit()
    log = Path(f"{database}-wal")  # which a process that is killed leaves
    left = log.read_bytes() if log.exists() else b""
    writer.close()
    log.write_bytes(left)
    with pytest.raises(UserError, match="no store at"):
        Store.open(tmp_path)
    store = Store.open(tmp_path, create=True)
    assert store.experiment("s", {}) == "1"
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_database_that_holds_something_is_not_made_anew(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "mlruns" / NAME)) as connection, connection:
        connection.execute("PRAGMA user_version=0")  # as an earlier version made it
    Store.open(folder, create=True).experiment("mine", {})
    with closing(sqlite3.connect(folder / "mlruns" / NAME)) as connection, connection:
        connection.execute("PRAGMA user_version=0")
    assert is_there(folder / "mlruns" / NAME)
    assert Store.open(folder, create=True).has("mine")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_store_that_cannot_be_made_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(file: Path) -> None:
        file.write_bytes(b"half")
        raise error

    monkeypatch.setattr(study.tracking.store, "_make_tables", fail)
    wanted = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else UserError
    with pytest.raises(wanted, match="no space is left" if wanted is UserError else None):
        Store.open(tmp_path, create=True)
    assert list(tmp_path.iterdir()) == []


# Locked, away


def test_a_locked_database_is_told_in_our_words(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study.tracking.database, "WAIT_SECONDS", 0.1)
    with closing(sqlite3.connect(folder / "mlruns" / NAME)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="another program, such as a database browser") as told:
            Store.open(folder, create=True)
    assert "sqlite3" not in str(told.value)


@pytest.fixture
def deaf_port() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        yield server.getsockname()[1]


def test_what_is_tried_in_vain_is_tried_for_seconds() -> None:
    import mlflow.store.db.utils

    tries = mlflow.store.db.utils.MAX_RETRY_COUNT
    assert sum(0.1 * (2**n - 1) for n in range(1, tries)) < 5  # its pauses, as its source has them
    assert int(os.environ["PGCONNECT_TIMEOUT"]) <= 10


def test_a_server_that_is_away_at_the_start_is_one_line(
    tmp_path: Path, deaf_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:s3cret@127.0.0.1:{deaf_port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(UserError, match="cannot open the store") as told:
        next(Sweep(space(tmp_path, ONE_ARM, 1), tmp_path, 1).run())
    assert "s3cret" not in str(told.value)
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 600
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.toml"]


def away(self: Store, *_: object, **__: object) -> None:
    raise StoreError("the store is away")


def test_a_store_that_is_away_at_the_first_write_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "write", away)
    with pytest.raises(UserError, match="the store is away"):
        sweep(space(folder, ONE_ARM, 1), folder)


def test_a_store_that_is_away_at_the_end_ends_no_sweep(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s = space(folder, ONE_ARM, 2)
    real, written = Store.write, []

    def write(self: Store, experiment: str, run: object) -> str:
        written.append(run)
        return real(self, experiment, run) if len(written) < 3 else away(self)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "write", write)
        patch.setattr(Store, "finish", away)
        run = Sweep(s, folder, 1)
        *_, last = run.run()
    assert (last.left, run.waiting) == (0, 2)
    assert sum("waits in the spool" in w for w in last.warnings) == 1
    assert any("2 finished runs wait in" in w for w in last.warnings)
    assert any("the store is away" in w for w in last.warnings)
    assert sweep(s, folder).warnings == []
    check_complete(s, folder)


def test_what_waits_is_filed_when_the_store_comes_back_within_the_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s = space(folder, ONE_ARM, 6)
    real, failed = Store.write, []

    def write(self: Store, experiment: str, run: object) -> str:
        if "/1/" in run.key and len(failed) < 3:  # type: ignore[attr-defined]
            failed.append(run)
            away(self)
        return real(self, experiment, run)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "write", write)
    for status in Sweep(s, folder, 1).run():
        filed = {r.tags["number"] for r in runs(folder, "trial")}
        back = [w for w in status.warnings if "the store is back" in w]
        if back and len(filed) < 6:
            assert "1" in filed
            break
    else:
        raise AssertionError("filed at the end only")


def test_a_store_that_starts_anew_at_the_end_of_a_sweep_is_waited_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each try fails at once, as where a connection is refused.
    s = space(folder, ONE_ARM, 2)
    real, refused = Store.write, []
    slept: list[float] = []

    def write(self: Store, experiment: str, run: object) -> str:
        if "/0/" in run.key and len(slept) < 5:  # type: ignore[attr-defined]
            refused.append(run)
            away(self)
        return real(self, experiment, run)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "write", write)
    monkeypatch.setattr("study.sweep.filing._LAST_TRY_SECONDS", 60)
    monkeypatch.setattr("study.sweep.filing._SHARE_OF_TRIES", 1e-9)  # no try before the end
    monkeypatch.setattr("study.sweep.filing.time.sleep", slept.append)
    run = Sweep(s, folder, 1)
    *_, last = run.run()
    assert len(slept) == 5
    assert run.waiting == 0
    assert any("the store is back" in w for w in last.warnings)
    check_complete(s, folder)


# Passwords


@pytest.mark.parametrize(
    ("uri", "text"),
    [
        ("postgresql://me:s3c%2Fret@host/db", "'postgresql://***@host/db'"),
        ("postgresql+psycopg2://me:a/b:c@host:5432/db", "'postgresql+psycopg2://***@host:5432/db'"),
        ("https://me:pw@host:5000", "'https://***@host:5000'"),
        (
            "postgresql://host/db?user=me&password=s3cret",
            "'postgresql://host/db?user=me&password=***'",
        ),
        ("http://127.0.0.1:5000", "'http://127.0.0.1:5000'"),
        ("sqlite:////a/b.db", "'sqlite:////a/b.db'"),
    ],
)
def test_a_password_is_shown_nowhere(uri: str, text: str) -> None:
    assert shown(uri) == text


def test_a_password_is_hidden_in_what_others_say() -> None:
    uri = "postgresql://me:s3c%2Fret@host/db"
    for said in (f"cannot reach {uri}\nmore", "password 's3c/ret' is wrong", "bad s3c%2Fret"):
        assert "ret" not in hidden(said, uri)
        assert "s3c" not in reason(RuntimeError(said), uri)


def test_the_servers_command_line_has_no_address(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[list[str], dict[str, str]]] = []

    class Server:
        pid = 2**22 + 1  # beyond any that there is

        def __init__(self, command: list[str], env: dict[str, str], **_: object) -> None:
            given.append((command, env))

        def wait(self) -> int:
            return 0

    monkeypatch.setattr(study.tracking.server.subprocess, "Popen", Server)
    secret = f"sqlite:///{folder}/mlruns/{NAME}?password=s3cret"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlruns/{NAME}")
    monkeypatch.setattr(Store, "open", classmethod(lambda cls, *_, **__: named(secret)))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    study.tracking.server.serve(folder, port)
    ((command, environment),) = given
    assert not any("s3cret" in word or "sqlite" in word for word in command)
    assert environment["MLFLOW_BACKEND_STORE_URI"] == secret


def named(uri: str) -> Store:
    store = Store.__new__(Store)
    store.uri, store.notices = uri, []
    store.headings = list  # type: ignore[method-assign]
    return store


# Not to be written


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A mount of the folder onto itself that may not be written."""
    bind = ["mount", "--bind", str(folder), str(folder)]
    if subprocess.run(bind, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        again = ["mount", "-o", "remount,ro,bind", str(folder)]
        if subprocess.run(again, capture_output=True).returncode:
            pytest.skip("nothing can be mounted read-only here")
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("mounted", [False, True])
def test_a_folder_that_may_not_be_written_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch, mounted: bool
) -> None:
    s = space(folder, ONE_ARM.replace('name = "tiny"', 'name = "tiny"\nquestion = "Who?"'), 1)
    sweep(s, folder)
    elsewhere = folder / "elsewhere"
    shutil.copytree(folder / "mlruns", elsewhere / "mlruns")
    before = snapshot(elsewhere)
    with read_only(elsewhere) if mounted else nullcontext():
        if not mounted:
            monkeypatch.setattr(study.tracking.database, "writable", lambda _: False)
        for relocate in (False, True):
            store = Store.open(elsewhere, relocate=relocate)
            results = read_study(store, "tiny")
            assert results.space["question"] == "Who?"
            assert len(results.trials) == 1
            # As MLflow's server reads it.
            run = store.study("tiny").runs[0].run_id
            assert str(elsewhere) in MlflowClient(store.uri).get_run(run).info.artifact_uri
        if mounted:
            with pytest.raises(UserError, match="cannot write"):
                sweep(s, elsewhere)
    assert snapshot(elsewhere) == before


@pytest.mark.parametrize("name", ["tiny.lock", "tiny.journal"])
def test_a_journal_or_lock_that_cannot_be_written_is_one_line(folder: Path, name: str) -> None:
    (folder / "mlruns" / "optuna" / name).mkdir(parents=True)  # root may write any file
    with pytest.raises(UserError, match=name.replace("tiny.lock", "tiny")) as told:
        sweep(space(folder, ONE_ARM, 1), folder)
    assert "\n" not in str(told.value)


def test_a_journal_that_is_full_in_the_middle_ends_in_a_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s = space(folder, ONE_ARM, 3)
    real, calls = ArmSearch.tell, []

    def tell(self: ArmSearch, *arguments: object) -> None:
        calls.append(arguments)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        real(self, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(ArmSearch, "tell", tell)
        with pytest.raises(UserError, match="no space is left on the disk"):
            sweep(s, folder)
    sweep(s, folder)
    check_complete(s, folder)


def test_a_journal_doubled_as_a_whole_is_noticed(folder: Path) -> None:
    s = space(folder, ONE_ARM, 1)
    sweep(s, folder)
    journal = folder / "mlruns" / "optuna" / "tiny.journal"
    once = journal.read_bytes()
    journal.write_bytes(once * 2)
    lines = len(once.splitlines())
    with pytest.raises(UserError, match=f"begins again at line {lines + 1}"):
        sweep(s, folder)
    assert journal.read_bytes() == once * 2
    journal.write_bytes(once)
    sweep(s, folder)
    check_complete(s, folder)


def test_a_disk_that_is_full_in_mid_sweep(tmp_path: Path, empty_store: Path) -> None:
    """Really: a small file system, which something else fills, and then leaves again."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        (place / "mlruns").mkdir()
        copy_database(empty_store, place)
        s = space(place, ONE_ARM, 12, 10)
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "study", "sweep", "tiny.toml", "--workers", "1"]
        process = subprocess.Popen(
            command,
            cwd=place,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        journal = place / "mlruns" / "optuna" / "tiny.journal"
        while not journal.exists() or journal.read_bytes().count(b'"op_code":6') < 2:
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        with (place / "filler").open("wb", buffering=0) as filler, suppress(OSError):
            while filler.write(bytes(4096)):
                pass
        out, err = process.communicate(timeout=120)
        assert process.returncode in (1, 2), err
        assert "Traceback" not in out + err
        assert "no space is left" in err
        (place / "filler").unlink()
        done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        check_complete(s, place)
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
