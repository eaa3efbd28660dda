"""The complete description of one trial, and its flat names.

Nested in files (``[train]`` / ``lr = 0.01``), flat where a name is needed ("train.lr"): in search
spaces, in ``--set`` and as MLflow parameters. A choice with parameters of its own is a group: its
``name`` and its parameters, such as ``clip.name`` and ``clip.threshold``; a bare string stands for
the name.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any

from pydantic import ValidationError, model_validator
from pydantic.fields import FieldInfo

from study.base.errors import MissingFiles, UserError, unknown
from study.base.limits import shown
from study.base.registry import Choices, Registry, describe_problem
from study.base.toml import Scalar, read_toml, write_toml
from study.cells import CELLS
from study.clipping import CLIPPING
from study.credit import CREDIT
from study.initializers import BIASES, INPUT_WEIGHTS, RECURRENT, VECTORS
from study.language.nonlinearities import NONLINEARITIES
from study.networks.attention import ATTENTION
from study.tasks import TASKS
from study.trial.parts import TrialParts
from study.trial.regularizers import REGULARIZERS
from study.trial.sections import Section
from study.trial.size import sized
from study.trial.suitability import check

Flat = dict[str, Scalar]


class TrialConfig(TrialParts):
    """One trial. Same configuration, same numbers: ``seed`` is the only source of randomness."""

    @model_validator(mode="after")
    def _choices_suit_the_cell(self) -> "TrialConfig":
        if self.model.parameters:
            self.__dict__["model"] = sized(self)  # frozen, but nobody has it yet
        check(self)
        return self

    @classmethod
    def from_flat(cls, flat: Mapping[str, Any]) -> "TrialConfig":
        """Raises UserError, one line, for the first thing wrong."""
        return cls.from_nested(nest(flat))

    @classmethod
    def from_nested(cls, nested: Mapping[str, Any]) -> "TrialConfig":
        """Raises UserError, one line, for the first thing wrong."""
        try:
            return cls.model_validate(dict(nested))
        except ValidationError as error:
            raised = error.errors()[0].get("ctx", {}).get("error")
            kind = MissingFiles if isinstance(raised, MissingFiles) else UserError
            raise kind(_explain(error)) from None

    @classmethod
    def from_file(cls, path: Path) -> "TrialConfig":
        """From a TOML file as written by `to_toml`. Raises UserError."""
        return cls.from_flat(flatten(read_toml(path)))

    def flat(self) -> Flat:
        """What is set, by flat name."""
        return flatten(self.model_dump())

    def complete(self) -> Flat:
        """Every flat name there is, "none" where this trial has no such parameter."""
        return dict.fromkeys(known_names(), "none") | self.flat()

    def to_toml(self) -> str:
        """A file that `from_file` reads back to the same configuration."""
        return write_toml(self.model_dump())


# The groups that are choices: their parameters depend on what is chosen.
GROUPS: dict[str, Choices[Any]] = {
    "task": TASKS,
    "attention": ATTENTION,
    "init.recurrent": RECURRENT,
    "init.input": INPUT_WEIGHTS,
    "init.bias": BIASES,
    "init.vector": VECTORS,
    "clip": CLIPPING,
    "credit": CREDIT,
    "regularizer": REGULARIZERS,
}


_DEFAULT_NAMES = {group: attrgetter(group)(TrialConfig()).name for group in GROUPS}


def _entries(fields: Mapping[str, FieldInfo], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Groups and settings that belong to none, by flat name, in the order of the sections."""
    for field, info in fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, Section):
            yield from _entries(info.annotation.model_fields, f"{prefix}{field}.")
        else:
            yield f"{prefix}{field}", info


def known_names() -> list[str]:
    """Every flat name that some configuration has, in the order of the sections."""
    names: dict[str, None] = {}
    for path, _ in _entries(TrialConfig.model_fields):
        names[full_name(path)] = None
        for _, choice in GROUPS[path].items() if path in GROUPS else ():
            names.update(dict.fromkeys(f"{path}.{p}" for p in choice.parameters()))
    return list(names)


def plain_settings() -> list[tuple[str, FieldInfo]]:
    """The settings that belong to no choice, by flat name, in the order of the sections."""
    return [entry for entry in _entries(TrialConfig.model_fields) if entry[0] not in GROUPS]


def kind_of(name: str) -> type:
    """int, float, bool or str: the type of a flat name's value."""
    group = next((g for g in GROUPS if name.startswith(f"{g}.") and name != f"{g}.name"), None)
    if group:
        field = name.removeprefix(f"{group}.")
        choices = (choice for _, choice in GROUPS[group].items())
        annotation = next(
            c.model_fields[field].annotation for c in choices if field in c.model_fields
        )
    elif name.endswith(".name") or name in GROUPS:
        return str
    else:
        fields: Mapping[str, Any] = TrialConfig.model_fields
        for part in name.split(".")[:-1]:
            fields = fields[part].annotation.model_fields
        annotation = fields[name.split(".")[-1]].annotation
    return annotation if annotation in (int, float, bool) else str


def choices_of(name: str) -> list[str] | None:
    """The registered things that a flat name chooses from; None where it does not."""
    registries: dict[str, Registry[Any]] = {"model.cell": CELLS, "model.phi": NONLINEARITIES}
    registries.update({f"{group}.name": choices for group, choices in GROUPS.items()})
    found = registries.get(full_name(name))
    return None if found is None else list(found)


@cache
def _flat_names() -> frozenset[str]:
    """`known_names`, to look one up; those that register a choice do so before the first look."""
    return frozenset(known_names())


@cache
def _sections() -> frozenset[str]:
    """What a flat name can begin with and is no group: "model", "init"."""
    names = {name.rpartition(".")[0] for name, _ in _entries(TrialConfig.model_fields)}
    return frozenset(names - {""})


def check_name(name: str, where: str = "") -> None:
    """Raises UserError, with the nearest known name, unless it is a flat name or a group's."""
    if name not in _flat_names() and name not in GROUPS:
        error = unknown("parameter", name, known_names())
        raise UserError(f"{where}: {error}" if where else str(error))


def full_name(name: str) -> str:
    """``clip`` stands for ``clip.name``."""
    return f"{name}.name" if name in GROUPS else name


def read_settings(texts: Sequence[str]) -> Flat:
    """Each as in `parse_setting`. Raises UserError for one that is given twice."""
    settings: Flat = {}
    for text in texts:
        name, value = parse_setting(text)
        if full_name(name) in settings:
            raise UserError(f"{full_name(name)} is set twice")
        settings[full_name(name)] = value
    return settings


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """{"clip": "norm", "clip.threshold": 1} -> {"clip": {"name": "norm", "threshold": 1}}.

    A group's parameter without its name belongs to the default choice. Raises UserError for an unknown name.
    """
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        check_name(name)
        *parents, last = full_name(name).split(".")
        section = nested
        for parent in parents:
            section = section.setdefault(parent, {})
        if last in section:
            group = name.removesuffix(".name")
            raise UserError(f"{group} is set twice, as {group} and as {group}.name")
        section[last] = value
    for group in GROUPS:
        section = nested
        for part in group.split("."):
            section = section.get(part, {})
        if section:
            section.setdefault("name", _DEFAULT_NAMES[group])
    return nested


def merge(base: Flat, changes: Mapping[str, Scalar]) -> Flat:
    """``base`` with changes; a group whose choice changes starts from that choice's defaults."""
    named = {full_name(k): v for k, v in changes.items()}
    dropped = [
        g for g in GROUPS if f"{g}.name" in named and named[f"{g}.name"] != base.get(f"{g}.name")
    ]
    kept = {k: v for k, v in base.items() if not any(k.startswith(f"{g}.") for g in dropped)}
    return kept | named


def flatten(nested: Mapping[str, Any], where: str = "") -> Flat:
    """The inverse of `nest`, for names with dots too; a group's own name stands for its choice.

    Raises UserError, which begins with ``where``, for a setting that is there in two spellings and for
    an empty table where a value or a choice is wanted. An empty section, [train], sets nothing.
    """
    flat: Flat = {}
    spellings: dict[str, str] = {}
    begins = f"{where} " if where else ""

    def walk(table: Mapping[str, Any], path: str, spelling: str) -> None:
        for key, value in table.items():
            name, written = f"{path}{key}", f"{spelling}{spelled(key)}"
            if isinstance(value, Mapping):
                if not value:
                    refuse_empty(name, where)
                walk(value, f"{name}.", f"{written}.")
                continue
            name = full_name(name)
            if name in flat:
                raise UserError(
                    f"{begins}{name} is set twice, as {spellings[name]} and as {written}"
                )
            flat[name], spellings[name] = value, written

    walk(nested, "", "")
    return flat


def spelled(key: str) -> str:
    """A key as TOML has it: in quotes where it is no plain word."""
    return key if key.replace("_", "").isalnum() else json.dumps(key, ensure_ascii=False)


def refuse_empty(name: str, where: str = "") -> None:
    """Raises UserError unless an empty table of that name means something: a section's settings."""
    if name in _sections():
        return
    check_name(name, where)
    wanted = "a name, or a table with a name" if name in GROUPS else "a value"
    raise UserError(f"{where} {name} is an empty table; give {wanted}".lstrip())


def parse_setting(text: str) -> tuple[str, Scalar]:
    """``train.lr=0.01`` -> ("train.lr", 0.01). Of a parameter that is text, such as a file's name,
    the value stays as it is written; else it is read as in TOML, or as text where it is none.
    """
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise UserError(f"a setting is NAME=VALUE, such as train.lr=0.01 (got {shown(text)})")
    name, value = name.strip(), value.strip()
    check_name(name)
    return name, value if kind_of(name) is str else _scalar(value)


def _scalar(text: str) -> Scalar:
    attempts: tuple[Callable[[str], Scalar], ...] = (int, float)
    if text in ("true", "false"):
        return text == "true"
    for read in attempts:
        try:
            return read(text)
        except ValueError:
            continue
    return text


def _explain(error: ValidationError) -> str:
    problem = error.errors()[0]
    path = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return str(unknown("parameter", path, known_names()))
    text = describe_problem(problem)
    if problem["type"] == "value_error":
        # An error of ours names what it is about by itself.
        text = str(problem["msg"]).removeprefix("Value error, ")
    return f"{path}: {text}" if path else text
