"""Two folders, one store: a study has one driver, wherever it runs."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import study
from study.base.errors import UserError
from study.sweep import lease
from study.sweep.lease import TAG, Lease, Signature
from study.tracking.store import Store
from study.tracking.store_errors import StoreError

HERE = str(Path(study.__file__).parent.parent)


class Shared:
    """A store that two folders write to; ``away`` it answers nothing."""

    root = None

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}
        self.away = False

    def experiment(self, name: str, tags: dict[str, str]) -> str:
        self._reach()
        self.tags |= tags
        return "1"

    def experiment_tags(self, name: str) -> dict[str, str]:
        self._reach()
        return dict(self.tags)

    def _reach(self) -> None:
        if self.away:
            raise StoreError("the store is away")


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Shared:
    monkeypatch.setattr(lease, "SETTLE_SECONDS", 0.05)
    monkeypatch.setattr(lease, "WATCH_SECONDS", 0.5)
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.0)
    return Shared()


def driver(shared: Shared, folder: str = "a") -> Lease:
    return Lease(shared, "tiny", Path(folder))  # type: ignore[arg-type]


def elsewhere(shared: Shared, **changes: object) -> Signature:
    """The signature in the store as if its driver ran on another machine."""
    found = Signature.read(shared.tags[TAG])
    assert found is not None
    moved = replace(found, machine="another", host="node7", **changes)  # type: ignore[arg-type]
    shared.tags[TAG] = moved.text()
    return moved


def test_a_signature_is_read_as_it_was_written_and_nothing_else_is() -> None:
    own = Signature.own(Path("a"))
    assert Signature.read(own.text()) == own
    for other in (
        None,
        "",
        "hello",
        "[]",
        "{}",
        '{"id": 3}',
        own.text().replace(str(own.pid), '"x"'),
    ):
        assert Signature.read(other) is None


def test_a_process_lives_by_its_number_and_its_start() -> None:
    own = Signature.own(Path("a"))
    assert own.lives() is True
    assert replace(own, machine="another").lives() is None
    assert replace(own, started="1").lives() is False, "the number was given to another process"
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert replace(own, pid=ended.pid).lives() is False


def test_a_second_driver_is_refused_with_the_place_of_the_first(shared: Shared) -> None:
    first = driver(shared, "here")
    first.take()
    with pytest.raises(UserError, match=rf"{socket.gethostname()} in here, process {os.getpid()}"):
        list(driver(shared).look())
    first.close()
    list(driver(shared).look())


def test_of_two_that_sign_at_once_one_goes_on(shared: Shared) -> None:
    for _ in range(10):
        shared.tags.clear()
        refused: list[str] = []
        begin = threading.Barrier(4)

        def start(refused: list[str] = refused, begin: threading.Barrier = begin) -> None:
            mine = driver(shared)
            begin.wait()
            try:
                mine.take()
            except UserError as error:
                refused.append(str(error))

        threads = [threading.Thread(target=start) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(refused) == 3


def test_a_driver_on_another_machine_is_watched(shared: Shared) -> None:
    driver(shared).take()
    dead = elsewhere(shared)
    told = [t for t in driver(shared).look() if t]
    assert len(told) == 1
    assert "node7" in told[0]
    # One that renews its signature lives.
    looks = driver(shared).look()
    next(looks)
    shared.tags[TAG] = dead.renewed().text()
    with pytest.raises(UserError, match="being swept by another process"):
        list(looks)
    # One that ends meanwhile leaves the study to us.
    looks = driver(shared).look()
    next(looks)
    shared.tags[TAG] = ""
    list(looks)


def test_a_driver_whose_study_was_taken_over_stops(shared: Shared) -> None:
    first = driver(shared, "here")
    first.take()
    for _ in range(3):
        first.renew()
    second = elsewhere(shared, id="other", folder="there")
    with pytest.raises(UserError, match="taken over by a sweep on node7 in there"):
        first.renew()
    assert first.lost
    first.close()
    assert shared.tags[TAG] == second.text(), "the other's signature is left alone"


def test_a_store_that_is_away_does_not_end_the_sweep(shared: Shared) -> None:
    first = driver(shared)
    first.take()
    shared.away = True
    first.renew()
    first.close()


def test_a_folders_own_store_is_not_signed(shared: Shared) -> None:
    shared.root = Path("mlruns")  # type: ignore[assignment]
    mine = driver(shared)
    list(mine.look())
    mine.take()
    mine.renew()
    mine.close()
    assert not shared.tags


# A real server, real drivers

SPACE = """
[study]
name = "tiny"
trials = 3
confirmations = 1
reruns = 0

[fixed]
train.probes = "none"
task.length = 5
model.hidden = 4
train.batch = 4
train.steps = 400
train.evaluate_every = 20

[compare.network]
tanh = { model.cell = "elman" }
gru = { model.cell = "gru" }

[search]
train.lr = { low = 0.001, high = 0.1, log = true }
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    Store.open(folder, create=True)  # from the tables that are there
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"),
            *("--port", str(port), "--workers", "1"),
            *("--backend-store-uri", f"sqlite:///{folder}/mlruns/mlflow.db"),
            *("--artifacts-destination", str(folder / "artifacts")),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    end = time.monotonic() + 120
    while time.monotonic() < end:
        assert process.poll() is None
        with socket.socket() as there:
            there.settimeout(1)
            if there.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.5)
    yield f"http://127.0.0.1:{port}"
    os.killpg(process.pid, 15)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)


def sweep(folder: Path, server: str) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    (folder / "tiny.toml").write_text(SPACE)
    return subprocess.Popen(
        [sys.executable, "-m", "study", "sweep", "tiny.toml", "--workers", "1"],
        cwd=folder,
        env={**os.environ, "MLFLOW_TRACKING_URI": server, "PYTHONPATH": HERE},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def test_of_two_folders_on_one_server_one_sweeps_and_no_key_is_doubled(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drivers = [sweep(tmp_path / name, server) for name in ("a", "b")]
    ended = [(d, *d.communicate(timeout=400)) for d in drivers]
    codes = sorted(d.returncode for d, _, _ in ended)
    assert codes == [0, 2], ended
    err = next(err for d, _, err in ended if d.returncode == 2)
    assert "study 'tiny' is being swept by another process into this store" in err
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in err

    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    runs = Store.open(tmp_path).study("tiny").runs
    trials = [r for r in runs if r.tags.get("role") in ("trial", "confirmation")]
    keys = [r.tags["trial_key"] for r in trials]
    assert len(keys) == len(set(keys)) == 8
    assert Store.open(tmp_path).experiment_tags("tiny")[TAG] == ""
