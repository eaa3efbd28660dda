"""One driver a study, in a store that several folders write to.

A folder's own lock is not seen from another folder, and MLflow knows no locks. So the driver of a study
signs the study's experiment, and renews its signature as long as it lives. Whoever finds another's
signature watches it for a while: one that is not renewed is of a driver that died.
"""

import json
import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from study.base.errors import UserError
from study.tracking.store import Store
from study.tracking.store_errors import StoreError

TAG = "longlag.driver"
RENEW_SECONDS = 10.0
WATCH_SECONDS = 45.0  # several renewals: one may wait for a slow store
SETTLE_SECONDS = 1.5  # two that sign at once: the second signature stays, and both read it
_SHARE_OF_TRIES = 0.1  # of the time, that is spent on a store that is away


@dataclass(frozen=True)
class Signature:
    """Who sweeps a study, and the number of its renewals."""

    id: str
    host: str
    machine: str  # what has its own numbering of processes: a computer since its start, a container
    pid: int
    started: str  # of the process, since its number may be given to another
    folder: str
    beat: int = 0

    @classmethod
    def own(cls, folder: Path) -> "Signature":
        pid = os.getpid()
        host = socket.gethostname()
        return cls(uuid.uuid4().hex, host, _machine(host), pid, _started(pid), str(folder))

    @classmethod
    def read(cls, text: str | None) -> "Signature | None":
        """None for no signature, and for what somebody else has written there."""
        if not text:
            return None
        with suppress(ValueError, TypeError, KeyError):
            fields = json.loads(text)
            kinds = cls.__annotations__
            if all(type(fields[name]) is kind for name, kind in kinds.items()):
                return cls(**fields)
        return None

    def text(self) -> str:
        return json.dumps(asdict(self))

    def renewed(self) -> "Signature":
        return Signature(**{**asdict(self), "beat": self.beat + 1})

    def lives(self) -> bool | None:
        """None where only watching tells: its process is on another machine."""
        if self.machine != _machine(socket.gethostname()):
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return _started(self.pid) == self.started


class Lease:
    """A study's experiment signed by this driver. ``name`` is the study's."""

    def __init__(self, store: Store, name: str, folder: Path) -> None:
        self._store, self._name = store, name
        # Nobody else has the store of a folder, and the folder has a lock of its own.
        self._needed = store.root is None
        self._own = Signature.own(folder)
        self._taken = False
        self.lost = False  # whether another driver has it now
        self._next = 0.0  # of time.monotonic

    def look(self) -> Iterator[str]:
        """Before anything is written: yields what it waits for while it watches another's signature.

        Raises UserError when another driver sweeps this study.
        """
        found = self._found() if self._needed else None
        if found is None or (lives := found.lives()) is False:
            return
        if lives:
            raise self._refusal(found)
        end = time.monotonic() + WATCH_SECONDS
        yield (
            f"{found.host} has signed this study as its own, from {found.folder}; waiting for up to "
            f"{WATCH_SECONDS:.0f} s to see whether that sweep still runs"
        )
        while time.monotonic() < end:
            time.sleep(min(1.0, WATCH_SECONDS / 10))
            yield ""
            now = self._found()
            if now is None:
                return
            if now != found:
                raise self._refusal(now)

    def take(self) -> None:
        """Sign. The experiment must be there. Raises UserError when another did so at the same time."""
        if not self._needed:
            return
        self._sign()
        time.sleep(SETTLE_SECONDS)
        now = self._found()
        if now is None or now.id != self._own.id:
            raise self._refusal(now or self._own)
        self._taken = True

    def renew(self) -> None:
        """To be called often. Raises UserError when another driver has taken the study over."""
        began = time.monotonic()
        if not self._taken or began < self._next:
            return
        try:
            now = self._found()
            if now is not None and now.id != self._own.id:
                self._taken, self.lost = False, True
                raise UserError(
                    f"study {self._name!r} has been taken over by a sweep on {now.host} in "
                    f"{now.folder}, process {now.pid}; what is finished here is kept"
                )
            self._own = self._own.renewed()
            self._sign()
        except StoreError:
            took = time.monotonic() - began
            self._next = time.monotonic() + max(RENEW_SECONDS, took / _SHARE_OF_TRIES)

    def close(self) -> None:
        """Strike the signature out, where it can be reached: a dead driver's is passed over too."""
        with suppress(StoreError):
            now = self._found() if self._taken else None
            if now is not None and now.id == self._own.id:
                self._store.experiment(self._name, {TAG: ""})
        self._taken = False

    def _sign(self) -> None:
        self._store.experiment(self._name, {TAG: self._own.text()})
        self._next = time.monotonic() + RENEW_SECONDS

    def _found(self) -> Signature | None:
        return Signature.read(self._store.experiment_tags(self._name).get(TAG))

    def _refusal(self, found: Signature) -> UserError:
        return UserError(
            f"study {self._name!r} is being swept by another process into this store: on {found.host} "
            f"in {found.folder}, process {found.pid}; wait for it, stop it, or sweep under a new name "
            "(--as NAME)"
        )


def _machine(host: str) -> str:
    parts = [host]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def _started(pid: int) -> str:
    """When a process was started, in the kernel's own count; empty where that is not told."""
    with suppress(OSError, IndexError):
        # The name in brackets may hold spaces and brackets itself.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return ""
