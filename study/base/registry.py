"""One small registry: by name, duplicates refused, unknown names answered with the known ones."""

import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo

from study.base.errors import UserError, unknown
from study.base.limits import SETTING, number_problem, shown, text_problem

_MOST_OWNERS = 5  # named as those that have a parameter

T = TypeVar("T")
C = TypeVar("C", bound="Choice")


class Registry(Generic[T]):
    """Things of one kind by name, in the order in which they were added.

    ``noun`` names the kind in error messages: "no cell named 'lstmm'; did you mean 'lstm'?".
    """

    def __init__(self, noun: str) -> None:
        self.noun = noun
        self._things: dict[str, T] = {}

    def add(self, name: str, thing: T) -> T:
        """Register; raises ValueError when the name is taken."""
        if name in self._things:
            first, second = (getattr(t, "__module__", "") for t in (self._things[name], thing))
            where = f": in {first} and in {second}" if first != second else ""
            raise ValueError(f"{self.noun} {name!r} is registered twice{where}")
        self._things[name] = thing
        return thing

    def __getitem__(self, name: str) -> T:
        """Raises UserError with the nearest known name when there is none of that name."""
        try:
            return self._things[name]
        except (KeyError, TypeError):
            raise unknown(self.noun, name, self._things) from None

    def __contains__(self, name: object) -> bool:
        return name in self._things

    def __iter__(self) -> Iterator[str]:
        return iter(self._things)

    def __len__(self) -> int:
        return len(self._things)

    def items(self) -> Iterator[tuple[str, T]]:
        return iter(self._things.items())


class Settings(BaseModel):
    """Part of a configuration: immutable, strict, of known fields only, and of values that can be
    computed with and stored. A number without an upper bound of its own has that of `study.base.limits`.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True
    )

    @field_validator("*")
    @classmethod
    def _within_limits(cls, value: Any, info: ValidationInfo) -> Any:
        problem = None
        if isinstance(value, str):
            problem = text_problem(value, SETTING)
        elif isinstance(value, int | float) and not _bounded(cls.model_fields, info.field_name):
            problem = number_problem(value)
        if problem:
            raise ValueError(problem)
        return value


def _bounded(fields: Mapping[str, FieldInfo], name: str | None) -> bool:
    """Whether a field says itself how large its numbers are."""
    bounds = fields[name].metadata if name is not None and name in fields else ()
    return any(hasattr(bound, "le") or hasattr(bound, "lt") for bound in bounds)


class Choice(Settings):
    """One registered way of doing something, with its own parameters as typed fields.

    A subclass given a ``name`` in a `Choices` registry becomes selectable in a configuration as
    ``group.name``, its fields as ``group.field``; bounds on the fields are checked there.
    """

    name: str

    @classmethod
    def parameters(cls) -> list[str]:
        return [field for field in cls.model_fields if field != "name"]

    @classmethod
    def summary(cls) -> str:
        """First line of the docstring."""
        return (cls.__doc__ or "").strip().splitlines()[0]


class Choices(Registry[type[C]], Generic[C]):
    """A registry of `Choice` classes that can be built from ``{"name": ..., parameters}``."""

    def register(self, cls: type[C]) -> type[C]:
        """Class decorator; the name is the default of the class's ``name`` field."""
        self.add(cls.model_fields["name"].default, cls)
        return cls

    def build(self, given: Any) -> C:
        """From an instance, a bare name, or a mapping with ``name`` and parameters.

        Raises UserError for an unknown name or parameter and for a value out of bounds.
        """
        if isinstance(given, Choice):
            for cls in self._things.values():
                if isinstance(given, cls):
                    return given
            raise unknown(self.noun, given.name, self)
        if not isinstance(given, str | Mapping):
            raise UserError(
                f"{self.noun} must be a name, or a table with a name (got {shown(given)})"
            )
        settings = {"name": given} if isinstance(given, str) else dict(given)
        if "name" not in settings:
            raise UserError(f"{self.noun} needs a name; known: {', '.join(self)}")
        cls = self[settings["name"]]
        try:
            return cls.model_validate(settings)
        except ValidationError as error:
            raise UserError(self._explain(cls, error)) from None

    def _explain(self, cls: type[C], error: ValidationError) -> str:
        problem = error.errors()[0]
        field = ".".join(str(part) for part in problem["loc"])
        name = cls.model_fields["name"].default
        if problem["type"] == "extra_forbidden":
            known = ", ".join(cls.parameters())
            has = f"its parameters: {known}" if known else "it has none"
            owners = [n for n, c in self.items() if field in c.parameters()]
            if owners and len(owners) <= _MOST_OWNERS:
                has += f"; {field!r} is of {', '.join(owners)}"
            return f"{self.noun} {name!r} has no parameter {field!r}; {has}"
        if problem["type"] == "missing":
            return f"{self.noun} {name!r} needs its parameter {field!r}"
        text = describe_problem(problem)
        return (
            f"{self.noun} {name!r}: {field}: {text}" if field else f"{self.noun} {name!r}: {text}"
        )


def describe_problem(problem: Any) -> str:
    """One pydantic problem as words: 'input should be greater than 0 (got -1)'."""
    message = str(problem["msg"]).removeprefix("Value error, ")
    text = message[0].lower() + message[1:]
    given = problem["input"]
    if problem["type"] == "value_error" or not isinstance(given, str | int | float | bool):
        return text  # an error of ours says by itself what was given
    return f"{text} (got {shown(given)})"


def load_modules(package: str, first: Sequence[str] = ()) -> None:
    """Import every module of a package, those of its folders too, so that each registers what it holds.

    ``first`` come first, the rest in the order of their own names, whichever folder they lie in.
    """
    rest = sorted(_modules_of(package), key=lambda name: name.rpartition(".")[2])
    for module in dict.fromkeys([*(f"{package}.{name}" for name in first), *rest]):
        import_module(module)


def _modules_of(package: str) -> Iterator[str]:
    """Dotted names, those of packages within it too."""
    path = import_module(package).__path__
    for info in pkgutil.iter_modules(path, f"{package}."):
        yield info.name
        if info.ispkg:
            yield from _modules_of(info.name)
