"""What is in a study's file: its tables, their columns and what these mean."""

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

FORMAT = 1
MANIFEST = "longlag.json"
ABOUT = "README.md"

_TEXTS = pa.map_(pa.string(), pa.string())
_HASHED = pa.dictionary(pa.int32(), pa.string())  # the same text in many rows

Columns = dict[str, tuple[pa.DataType, str]]

RUNS: Columns = {
    "study": (_HASHED, "which study the run belongs to"),
    "run_id": (pa.string(), "the run's id in the store it was exported from"),
    "parent_id": (pa.string(), "the id of its arm's run; empty for an arm"),
    "key": (pa.string(), "what the run is within its study: STUDY/ARM, STUDY/ARM/TRIAL/ATTEMPT, …"),
    "name": (pa.string(), "its name in MLflow"),
    "status": (_HASHED, "FINISHED, FAILED, KILLED or RUNNING"),
    "start_ms": (pa.int64(), "when it began, milliseconds since 1970 UTC"),
    "end_ms": (pa.int64(), "when it ended; empty while it runs"),
    "tags": (_TEXTS, "arm, role, outcome, number, confirms and others, as MLflow has them"),
    "params": (_TEXTS, "every setting of its configuration by name, such as train.lr"),
}
POINTS: Columns = {
    "run_id": (_HASHED, "whose value it is"),
    "key": (_HASHED, "the metric, such as validation/loss or gradient_flow/init/h"),
    "step": (pa.int64(), "updates, or the lag for a gradient; 0 for a run's single numbers"),
    "timestamp_ms": (pa.int64(), "when it was measured, milliseconds since 1970 UTC"),
    "value": (pa.float64(), "the value"),
}
FILES: Columns = {
    "run_id": (_HASHED, "whose file it is"),
    "name": (_HASHED, "such as gradient_flow.json, config.toml or state_gradients.png"),
    "content": (pa.binary(), "its bytes"),
}
TABLES = {"runs": RUNS, "points": POINTS, "files": FILES}


class Heading(BaseModel):
    """A study of the file, with the tags of its experiment. ``journal``: whether Optuna's is there."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    tags: dict[str, str]
    journal: bool


class Manifest(BaseModel):
    """The file's own description; a later format has another number."""

    model_config = ConfigDict(extra="ignore", strict=True)

    format: int
    longlag: str
    lean: bool
    studies: list[Heading]


def schema(table: str) -> pa.Schema:
    return pa.schema([(name, kind) for name, (kind, _) in TABLES[table].items()])


def about(manifest: Manifest) -> str:
    """The file's README: how to use it, and every column."""
    names = ", ".join(study.name for study in manifest.studies)
    lean = (
        "\nIt is lean: files are left out, and the curves of all but chosen trials and confirmations.\n"
        if manifest.lean
        else ""
    )
    parts = [
        f"# Studies of longlag: {names}",
        f"Written by longlag {manifest.longlag}, format {manifest.format}. `longlag import FILE` brings the "
        f"studies into a store, and\n`longlag report {manifest.studies[0].name} --from FILE` reads it where "
        f"it is.\n{lean}\n`journals/STUDY.journal` is Optuna's journal, by which a study's sweep goes on.",
    ]
    for table, columns in TABLES.items():
        lines = [f"## {table}.parquet", "", "| column | type | meaning |", "|---|---|---|"]
        lines += [f"| {name} | {_type(kind)} | {text} |" for name, (kind, text) in columns.items()]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _type(kind: pa.DataType) -> str:
    return "text" if kind in (_HASHED, pa.string()) else str(kind)
