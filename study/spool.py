"""Finished trials on disk until both MLflow and Optuna have them."""

import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from study.trial_record import TrialRecord


class Spool:
    """A folder with one JSON file a trial; a file appears whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for draft in folder.glob("*.tmp"):  # of a driver that was killed while it wrote
            draft.unlink()

    def put(self, record: TrialRecord) -> None:
        path = self._path(record)
        draft = path.with_suffix(".tmp")
        with draft.open("w", encoding="utf-8") as file:
            file.write(record.to_json())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)

    def remove(self, record: TrialRecord) -> None:
        self._path(record).unlink(missing_ok=True)

    def __iter__(self) -> Iterator[TrialRecord]:
        for path in sorted(self._folder.glob("*.json")):
            yield TrialRecord.from_json(path.read_text(encoding="utf-8"))

    def _path(self, record: TrialRecord) -> Path:
        # Keys hold slashes and labels of any length; a digest is a file name everywhere.
        return self._folder / f"{sha256(record.key.encode()).hexdigest()[:32]}.json"
