"""Studies in one file: Parquet tables in a zip. It is read like a store, and never executed."""

import io
import re
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from study.base.errors import UserError, unknown
from study.spaces.index import check_study_name
from study.tracking.run_record import MetricPoint, Point, RunRecord, StudyRecord
from study.travel.format import ABOUT, FORMAT, MANIFEST, TABLES, Heading, Manifest, about, schema

_NAME = re.compile(r"[\w.,=+ -]{1,200}", re.ASCII)  # of a run's file: no folder, nothing hidden
_STATUSES = ("FINISHED", "FAILED", "KILLED", "RUNNING")
_MOST_BYTES = 16 * 2**30  # of a table, unpacked: more is no study, and would fill the memory
_DAMAGED = (OSError, ValueError, KeyError, zipfile.BadZipFile, pa.ArrowException, zlib.error)


@dataclass(frozen=True)
class Carried:
    """A study as it travels; files by run id and name. ``journal`` is empty where there was none."""

    name: str
    tags: dict[str, str]
    runs: list[RunRecord]
    points: dict[str, list[Point]]
    files: dict[str, dict[str, bytes]]
    journal: bytes = b""


@dataclass
class StudyFile:
    """A file that was opened. Its methods are those of a store that is read.

    Every method raises UserError where the file is damaged.
    """

    path: Path
    manifest: Manifest
    notices: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, path: Path) -> "StudyFile":
        """Raises UserError for what is no such file, or of a later format."""
        if not path.is_file():
            raise UserError(f"no such file: {path}")
        try:
            with zipfile.ZipFile(path) as file:
                manifest = Manifest.model_validate_json(file.read(MANIFEST))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise UserError(f"{path}: {MANIFEST} cannot be read: {where}: {first['msg']}") from None
        except _DAMAGED:
            raise UserError(f"{path} is no file of `longlag export`") from None
        if manifest.format > FORMAT:
            raise UserError(
                f"{path} is of format {manifest.format}, written by longlag {manifest.longlag}; this version "
                f"reads formats up to {FORMAT}"
            )
        names = [study.name for study in manifest.studies]
        for name in names:
            check_study_name(name)
        if not names or len({name.lower() for name in names}) < len(names):
            raise UserError(f"{path}: {MANIFEST} has no study, or one twice")
        return cls(path, manifest)

    def studies(self) -> list[str]:
        return sorted(study.name for study in self.manifest.studies)

    def has(self, name: str) -> bool:
        return name in self.studies()

    def study(self, name: str) -> StudyRecord:
        """Raises UserError with the nearest known name when there is none."""
        heading = self._heading(name)
        return StudyRecord(
            name=name, experiment_id="", tags=dict(heading.tags), runs=self._runs.get(name, [])
        )

    def histories(self, run_ids: Sequence[str], keys: Sequence[str]) -> list[MetricPoint]:
        """Every point of those metrics of those runs, by run, key and step."""
        wanted = {key: place for place, key in enumerate(keys)}
        return [
            MetricPoint(run_id, point.key, point.step, point.value)
            for run_id in run_ids
            for point in sorted(
                (p for p in self._points.get(run_id, ()) if p.key in wanted),
                key=lambda p: (wanted[p.key], p.step, p.timestamp_ms),
            )
        ]

    def artifact_text(self, run_id: str, path: str) -> str:
        """Raises UserError when there is none of that name."""
        try:
            return self._files[run_id][path].decode("utf-8")
        except KeyError:
            raise UserError(f"run {run_id} has no artifact {path!r}") from None

    def carried(self, name: str) -> Carried:
        """All of a study."""
        heading, runs = self._heading(name), self._runs.get(name, [])
        journal = b""
        if heading.journal:
            with self._damage(), zipfile.ZipFile(self.path) as file:
                journal = _unpacked(file, _journal(name))
        return Carried(
            name=name,
            tags=dict(heading.tags),
            runs=runs,
            points={run.run_id: self._points.get(run.run_id, []) for run in runs},
            files={run.run_id: self._files.get(run.run_id, {}) for run in runs},
            journal=journal,
        )

    def _heading(self, name: str) -> Heading:
        for heading in self.manifest.studies:
            if heading.name == name:
                return heading
        raise unknown(f"study of {self.path}", name, self.studies())

    @cached_property
    def _runs(self) -> dict[str, list[RunRecord]]:
        """By study, the oldest first."""
        rows = self._rows("runs")
        last: dict[str, dict[str, float]] = {}
        for run_id, points in self._points.items():
            last[run_id] = {p.key: p.value for p in sorted(points, key=lambda p: p.step)}
        found: dict[str, list[RunRecord]] = {}
        seen: set[str] = set()
        with self._damage():
            for row in sorted(rows, key=lambda row: (row["start_ms"], row["name"])):
                run_id = row["run_id"]
                if run_id in seen or row["status"] not in _STATUSES or not row["key"]:
                    raise ValueError(f"run {run_id!r} is there twice, or has no status or key")
                seen.add(run_id)
                run = RunRecord(
                    run_id=run_id,
                    name=row["name"],
                    parent_id=row["parent_id"] or None,
                    status=row["status"],
                    tags=dict(row["tags"]) | {"trial_key": row["key"]},
                    params=dict(row["params"]),
                    metrics=last.get(run_id, {}),
                    start_ms=row["start_ms"],
                    end_ms=row["end_ms"],
                )
                found.setdefault(row["study"], []).append(run)
        return found

    @cached_property
    def _points(self) -> dict[str, list[Point]]:
        found: dict[str, list[Point]] = {}
        for row in self._rows("points"):
            point = Point(row["key"], row["value"], row["step"], row["timestamp_ms"])
            found.setdefault(row["run_id"], []).append(point)
        return found

    @cached_property
    def _files(self) -> dict[str, dict[str, bytes]]:
        found: dict[str, dict[str, bytes]] = {}
        for row in self._rows("files"):
            if not _NAME.fullmatch(row["name"]) or row["name"].startswith("."):
                raise UserError(f"{self.path}: {row['name']!r} is no name of a run's file")
            found.setdefault(row["run_id"], {})[row["name"]] = row["content"]
        return found

    def _rows(self, table: str) -> list[dict[str, Any]]:
        """A table's rows. Columns that this version does not know are passed over."""
        with self._damage(), zipfile.ZipFile(self.path) as file:
            read = pq.read_table(
                io.BytesIO(_unpacked(file, f"{table}.parquet")), columns=list(TABLES[table])
            )
            rows: list[dict[str, Any]] = read.cast(_plain(table)).to_pylist()
            free = {"parent_id", "end_ms"}
            if any(row[name] is None for row in rows for name in row.keys() - free):
                raise ValueError(f"{table}.parquet lacks values")
            return rows

    def _damage(self) -> "_Damage":
        return _Damage(self.path)


class _Damage:
    """Whatever a damaged file makes of its readers, in one line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, _DAMAGED) and not isinstance(error, UserError):
            told = " ".join(str(error).split())[:200]
            raise UserError(f"{self._path} is damaged: {told}") from None


def write(path: Path, studies: Iterable[Carried], version: str, lean: bool) -> Manifest:
    """The file appears whole or not at all. Raises OSError when it cannot be written."""
    kept = list(studies)
    headings = [Heading(name=s.name, tags=s.tags, journal=bool(s.journal)) for s in kept]
    manifest = Manifest(format=FORMAT, longlag=version, lean=lean, studies=headings)
    draft = path.with_name(f".{path.name}.writing")
    try:
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr(MANIFEST, manifest.model_dump_json(indent=1))
            file.writestr(ABOUT, about(manifest))
            for table, rows in _tables(kept).items():
                # Packed by Parquet itself, a column at a time.
                file.writestr(f"{table}.parquet", _parquet(table, rows), zipfile.ZIP_STORED)
            for each in kept:
                if each.journal:
                    file.writestr(_journal(each.name), each.journal)
        draft.replace(path)
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
    return manifest


def _tables(studies: Sequence[Carried]) -> dict[str, list[dict[str, Any]]]:
    runs = [(study, run) for study in studies for run in study.runs]
    return {
        "runs": [
            {
                "study": study.name,
                "run_id": run.run_id,
                "parent_id": run.parent_id,
                "key": run.tags["trial_key"],
                "name": run.name,
                "status": run.status,
                "start_ms": run.start_ms,
                "end_ms": run.end_ms,
                "tags": sorted((k, v) for k, v in run.tags.items() if k != "trial_key"),
                "params": sorted(run.params.items()),
            }
            for study, run in runs
        ],
        "points": [
            {
                "run_id": run.run_id,
                "key": point.key,
                "step": point.step,
                "timestamp_ms": point.timestamp_ms,
                "value": point.value,
            }
            for study, run in runs
            for point in study.points.get(run.run_id, ())
        ],
        "files": [
            {"run_id": run.run_id, "name": name, "content": content}
            for study, run in runs
            for name, content in study.files.get(run.run_id, {}).items()
        ],
    }


def _parquet(table: str, rows: list[dict[str, Any]]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(
        pa.Table.from_pylist(rows, schema=schema(table)),
        buffer,
        compression="zstd",
        compression_level=15,
        row_group_size=2**16,
    )
    return buffer.getvalue()


def _plain(table: str) -> pa.Schema:
    """The table's types without dictionaries."""
    return pa.schema(
        [
            (f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type)
            for f in schema(table)
        ]
    )


def _unpacked(file: zipfile.ZipFile, name: str) -> bytes:
    if file.getinfo(name).file_size > _MOST_BYTES:
        raise ValueError(f"{name} is larger than {_MOST_BYTES} bytes")
    return file.read(name)


def _journal(study: str) -> str:
    return f"journals/{study}.journal"
