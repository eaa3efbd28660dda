"""Finished trials on disk until both MLflow and Optuna have them."""

import os
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from study.base.errors import UserError
from study.tracking.store_errors import reason
from study.tracking.trial_record import TrialRecord

ASIDE = ".damaged"


class Spool:
    """A folder with one JSON file a trial; a file appears whole or not at all.

    What is no such file is set aside: renamed, and told in ``notices``. Raises UserError where the
    folder cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notices: list[str] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for draft in folder.glob("*.tmp"):  # of a driver that was killed while it wrote
                draft.unlink()
        except OSError as error:
            raise self._unusable(error) from None

    def put(self, record: TrialRecord) -> None:
        """Raises OSError when there is no room for it."""
        path = self._path(record)
        draft = path.with_suffix(".tmp")
        try:
            with draft.open("w", encoding="utf-8") as file:
                file.write(record.to_json())
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except OSError:
            with suppress(OSError):
                draft.unlink()
            raise

    def remove(self, record: TrialRecord) -> None:
        self._path(record).unlink(missing_ok=True)

    def set_aside(self, record: TrialRecord, why: str) -> None:
        """A record that cannot be filed, whatever the store says."""
        self._rename(self._path(record), why)

    def __iter__(self) -> Iterator[TrialRecord]:
        try:
            paths = sorted(self.folder.glob("*.json"))
            for path in paths:
                if (record := self._read(path)) is not None:
                    yield record
        except OSError as error:
            raise self._unusable(error) from None

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _read(self, path: Path) -> TrialRecord | None:
        if not path.is_file():
            self._rename(path, "it is no file")
            return None
        content = path.read_bytes()
        try:
            record = TrialRecord.from_json(content.decode())
        except (ValueError, RecursionError) as error:
            empty = not content.strip()
            self._rename(path, "it is empty" if empty else f"it holds no trial: {reason(error)}")
            return None
        if path != self._path(record):
            self._rename(path, f"its name is not that of {record.name}")
            return None
        return record

    def _rename(self, path: Path, why: str) -> None:
        aside = path.with_name(f"{path.name}{ASIDE}")
        number = 1
        while os.path.lexists(aside):
            number += 1
            aside = path.with_name(f"{path.name}{ASIDE}{number}")
        path.rename(aside)
        self.notices.append(f"{path} is set aside as {aside.name}: {why}")

    def _path(self, record: TrialRecord) -> Path:
        # Keys hold slashes and labels of any length; a digest is a file name everywhere.
        return self.folder / f"{sha256(record.key.encode()).hexdigest()[:32]}.json"

    def _unusable(self, error: OSError) -> UserError:
        return UserError(f"cannot use the spool {self.folder}: {reason(error)}")
