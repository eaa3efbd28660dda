"""The complete description of one trial, and its flat names.

Nested in files (``[train]`` / ``lr = 0.01``), flat where a name is needed ("train.lr"): in search
spaces, in ``--set`` and as MLflow parameters. A choice with parameters of its own is a group: its
``name`` and its parameters, such as ``clip.name`` and ``clip.threshold``; a bare string stands for
the name.
"""

import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationError,
    model_validator,
)

from study.cells import CELLS
from study.clipping import CLIPPING, Clipping
from study.credit import CREDIT, Credit
from study.deep_transition import deep_transition
from study.equations import Cell
from study.errors import MissingFiles, UserError, unknown
from study.initializers import (
    BIASES,
    INPUT_WEIGHTS,
    RECURRENT,
    VECTORS,
    BiasInitializer,
    MatrixInitializer,
    VectorInitializer,
    check_suits,
)
from study.models.attention import ATTENTION, Attention
from study.nonlinearities import NONLINEARITIES
from study.registry import Choices, Registry, describe_problem
from study.regularizers import REGULARIZERS, Regularizer
from study.tasks import TASKS
from study.tasks.base import Task

Scalar = str | int | float | bool
Flat = dict[str, Scalar]


def _known(registry: Registry[Any]) -> BeforeValidator:
    def check(name: Any) -> Any:
        registry[name]
        return name

    return BeforeValidator(check)


class _Section(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True
    )


class ModelConfig(_Section):
    """The network: recurrent layers of one cell and a linear readout.

    Deep is meant as by Pascanu et al. (2014): fully connected layers of H units with nonlinearity phi.
    """

    cell: Annotated[str, _known(CELLS)] = "lstm"
    phi: Annotated[str, _known(NONLINEARITIES)] = "tanh"
    hidden: int = Field(
        default=64, ge=1, le=8192, description="H, units of a layer in one direction"
    )
    layers: int = Field(default=1, ge=1, le=16, description="on top of each other")
    bidirectional: bool = Field(
        default=False, description="each layer reads backward too, with weights of its own"
    )
    residual: bool = Field(
        default=False, description="a layer above the first adds its output to its input"
    )
    embedding: int = Field(
        default=0, ge=0, le=4096, description="numbers that stand for a symbol; 0: one-hot as it is"
    )
    deep_input: int = Field(
        default=0, ge=0, le=8, description="fully connected layers before the first recurrent one"
    )
    deep_hidden: int = Field(
        default=0, ge=0, le=8, description="fully connected layers between a step and the next"
    )
    deep_output: int = Field(
        default=0, ge=0, le=8, description="fully connected layers before the linear readout"
    )

    @model_validator(mode="after")
    def _residual_has_a_layer(self) -> "ModelConfig":
        if self.residual and self.layers == 1:
            raise ValueError(
                "residual is of the layers above the first; set layers to 2 or more, or leave it false"
            )
        return self


class DecoderConfig(_Section):
    """How an answer is written, of a task whose answer is a sequence of its own."""

    context: Literal["state", "input", "both", "attention"] = Field(
        default="state",
        description="what was read is the first state, an input at each step, both; or looked up only",
    )
    teacher_forcing: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="how often training tells the right symbol, not its own",
    )
    beam: int = Field(default=1, ge=1, le=100, description="width of beam search; 1 is greedy")


class InitConfig(_Section):
    """How the layer's parameters start."""

    recurrent: Annotated[SerializeAsAny[MatrixInitializer], BeforeValidator(RECURRENT.build)] = (
        RECURRENT.build("uniform")
    )
    input: Annotated[SerializeAsAny[MatrixInitializer], BeforeValidator(INPUT_WEIGHTS.build)] = (
        INPUT_WEIGHTS.build("uniform")
    )
    bias: Annotated[SerializeAsAny[BiasInitializer], BeforeValidator(BIASES.build)] = BIASES.build(
        "zeros"
    )
    vector: Annotated[SerializeAsAny[VectorInitializer], BeforeValidator(VECTORS.build)] = (
        VECTORS.build("source")
    )


class TrainConfig(_Section):
    """How the network is trained."""

    optimizer: Literal["adam", "sgd", "nesterov", "rmsprop", "guess"] = Field(
        default="adam", description="guess: all weights drawn anew at every step, nothing learned"
    )
    lr: float = Field(default=0.005, gt=0, description="learning rate")
    momentum: float = Field(
        default=0.0, ge=0, lt=1, description="of SGD, Nesterov's and RMSProp; 0 for Adam"
    )
    alpha: float = Field(default=0.9, ge=0, lt=1, description="smoothing of RMSProp's squares")
    guess_range: float = Field(
        default=100.0, gt=0, le=1e6, description="a of guess, whose weights are from U[-a,a]"
    )
    batch: int = Field(default=64, ge=1, description="sequences a mini-batch, or to try guesses on")
    input_noise: float = Field(
        default=0.0, ge=0, description="standard deviation of noise added to training inputs"
    )
    steps: int = Field(default=1000, ge=1, description="budget, updates")
    engine: Literal["auto", "native", "reference"] = "auto"
    evaluate_every: int = Field(default=50, ge=1, description="updates between two validations")

    @model_validator(mode="after")
    def _parameters_are_the_optimizers(self) -> "TrainConfig":
        if self.optimizer in ("adam", "guess") and self.momentum:
            raise ValueError(
                f"momentum is a parameter of sgd, nesterov and rmsprop, not of {self.optimizer}; set it to 0"
            )
        if self.optimizer != "guess" and self.guess_range != 100:
            raise ValueError(
                f"guess_range is a parameter of guess, not of {self.optimizer}; leave it at 100"
            )
        if self.optimizer == "guess" and self.input_noise:
            raise ValueError("input_noise is for training; guess has none, set it to 0")
        usual = type(self).model_fields["alpha"].default
        if self.optimizer != "rmsprop" and self.alpha != usual:
            raise ValueError(
                f"alpha is a parameter of rmsprop, not of {self.optimizer}; leave it at {usual}"
            )
        return self


class TrialConfig(_Section):
    """One trial. Same configuration, same numbers: ``seed`` is the only source of randomness."""

    seed: int = Field(default=0, ge=0)
    task: Annotated[SerializeAsAny[Task], BeforeValidator(TASKS.build)] = TASKS.build("adding")
    model: ModelConfig = ModelConfig()
    attention: Annotated[SerializeAsAny[Attention], BeforeValidator(ATTENTION.build)] = (
        ATTENTION.build("none")
    )
    decoder: DecoderConfig = DecoderConfig()
    init: InitConfig = InitConfig()
    clip: Annotated[SerializeAsAny[Clipping], BeforeValidator(CLIPPING.build)] = CLIPPING.build(
        {"name": "norm", "threshold": 1.0}
    )
    regularizer: Annotated[SerializeAsAny[Regularizer], BeforeValidator(REGULARIZERS.build)] = (
        REGULARIZERS.build("none")
    )
    credit: Annotated[SerializeAsAny[Credit], BeforeValidator(CREDIT.build)] = CREDIT.build("full")
    train: TrainConfig = TrainConfig()

    @model_validator(mode="after")
    def _choices_suit_the_cell(self) -> "TrialConfig":
        cell, init = self.cell, self.init
        check_suits(cell, init.recurrent, init.input, init.bias, init.vector)
        if problem := self.regularizer.refusal(cell):
            raise UserError(problem)
        self._check_guess()
        self._check_layers()
        self._check_writing()
        self.credit.check(cell, self.task.input_size, self.model.hidden, self.train.batch)
        if not self.credit.goes_back:
            limited = self.clip.signal_limit is not None
            for what, needs in (
                (self.regularizer, self.regularizer.needs_recorder),
                (self.clip, limited),
            ):
                if needs:
                    raise UserError(
                        f"{what.name!r} acts on the gradient on its way back through time, which "
                        f"credit {self.credit.name!r} has not; take another credit assignment"
                    )
        return self

    def _check_layers(self) -> None:
        network = self.model
        if network.bidirectional and self.task.causal:
            raise UserError(
                f"task {self.task.name!r} shows at later steps what it asks for, so a network that "
                "reads backward too would look it up; set model.bidirectional to false"
            )
        if network.embedding and not self.task.symbolic:
            raise UserError(
                f"task {self.task.name!r} shows numbers, and only symbols can be embedded; set "
                "model.embedding to 0"
            )
        if not self.credit.goes_down:
            for name, usual in (("layers", 1), ("embedding", 0), ("deep_input", 0)):
                if getattr(network, name) != usual:
                    raise UserError(
                        f"credit {self.credit.name!r} gives no gradient of a layer's input, which "
                        f"what is below it needs; set model.{name} to {usual}"
                    )
        if (network.layers > 1 or network.bidirectional) and self.regularizer.needs_recorder:
            raise UserError(
                f"regularizer {self.regularizer.name!r} is of one layer in one direction; set "
                "model.layers to 1 and model.bidirectional to false"
            )

    def _check_writing(self) -> None:
        decoder, looks = self.decoder, self.attention.looks
        if self.task.reads != "generated":
            if looks:
                raise UserError(
                    f"attention {self.attention.name!r} is of an answer that is written once all is "
                    f"read, and task {self.task.name!r} has none; set attention to 'none'"
                )
            for name, info in DecoderConfig.model_fields.items():
                if getattr(decoder, name) != info.default:
                    raise UserError(
                        f"decoder.{name} is of an answer that is written once all is read, and task "
                        f"{self.task.name!r} has none; leave it at {info.default!r}"
                    )
            return
        if not self.credit.goes_down:
            raise UserError(
                f"credit {self.credit.name!r} gives no gradient of what a decoder is told, which the "
                f"encoder needs, and task {self.task.name!r} has both; take another credit assignment"
            )
        if self.regularizer.needs_recorder:
            raise UserError(
                f"regularizer {self.regularizer.name!r} is of one layer, and task "
                f"{self.task.name!r} has an encoder's and a decoder's; set regularizer to 'none'"
            )
        if decoder.context == "attention" and not looks:
            raise UserError(
                "with decoder.context 'attention' what was read is known by looking alone; set "
                "attention to 'soft' or 'hard', or decoder.context to 'state'"
            )
        if decoder.teacher_forcing < 1:
            usual = _DEFAULT_NAMES["credit"]
            if self.credit.name != usual:
                raise UserError(
                    "with decoder.teacher_forcing below 1 each step is a pass of its own, through "
                    f"which credit {self.credit.name!r} cannot be followed; take {usual!r}"
                )
            if self.clip.signal_limit is not None:
                raise UserError(
                    "with decoder.teacher_forcing below 1 each step is a pass of its own, in which "
                    f"clip {self.clip.name!r} cannot count; take another rule"
                )
        if getattr(self.attention, "score", "") == "dot" and self.model.bidirectional:
            raise UserError(
                "attention.score 'dot' compares a decoder's H numbers with as many, and of two "
                "directions there are 2H; take 'general' or 'additive'"
            )

    @property
    def cell(self) -> Cell:
        """The cell's equations, with as deep a transition as the model has."""
        return deep_transition(CELLS[self.model.cell], self.model.deep_hidden)

    def _check_guess(self) -> None:
        if self.train.optimizer != "guess":
            return
        if self.decoder.teacher_forcing < 1:
            raise UserError(
                "decoder.teacher_forcing is of training, and train.optimizer 'guess' has none; leave "
                "it at 1"
            )
        for what, name in (("credit", self.credit.name), ("regularizer", self.regularizer.name)):
            usual = _DEFAULT_NAMES[what]
            if name != usual:
                raise UserError(
                    f"{what} {name!r} acts on a gradient, and train.optimizer 'guess' has none; "
                    f"leave it at {usual!r}"
                )

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


def known_names() -> list[str]:
    """Every flat name that some configuration has, in the order of the sections."""
    names: dict[str, None] = {}

    def walk(prefix: str, fields: Mapping[str, Any]) -> None:
        for field, info in fields.items():
            path = f"{prefix}{field}"
            if path in GROUPS:
                names[f"{path}.name"] = None
                for _, choice in GROUPS[path].items():
                    names.update(dict.fromkeys(f"{path}.{p}" for p in choice.parameters()))
            elif isinstance(info.annotation, type) and issubclass(info.annotation, _Section):
                walk(f"{path}.", info.annotation.model_fields)
            else:
                names[path] = None

    walk("", TrialConfig.model_fields)
    return list(names)


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


def check_name(name: str, where: str = "") -> None:
    """Raises UserError, with the nearest known name, unless it is a flat name or a group's."""
    if name not in known_names() and name not in GROUPS:
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


def flatten(nested: Mapping[str, Any], prefix: str = "") -> Flat:
    """The inverse of `nest`, for names with dots too."""
    flat: Flat = {}
    for name, value in nested.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def parse_setting(text: str) -> tuple[str, Scalar]:
    """``train.lr=0.01`` -> ("train.lr", 0.01). Of a parameter that is text, such as a file's name,
    the value stays as it is written; else it is read as in TOML, or as text where it is none.
    """
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise UserError(f"a setting is NAME=VALUE, such as train.lr=0.01 (got {text!r})")
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


def read_toml(path: Path) -> dict[str, Any]:
    """Raises UserError with file and line."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"no such file: {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from None
    except (ValueError, RecursionError) as error:  # numbers and nesting without end among them
        raise UserError(f"{path} is not valid TOML: {error}") from None


def write_toml(nested: Mapping[str, Any]) -> str:
    """Scalars first, then tables; for the scalars that a configuration has."""
    lines: list[str] = []

    def write(table: Mapping[str, Any], path: tuple[str, ...]) -> None:
        scalars = {k: v for k, v in table.items() if not isinstance(v, Mapping)}
        if path and scalars:
            lines.append(f"\n[{'.'.join(path)}]")
        lines.extend(f"{key} = {_toml_scalar(value)}" for key, value in scalars.items())
        for key, value in table.items():
            if isinstance(value, Mapping):
                write(value, (*path, key))

    write(nested, ())
    return "\n".join(lines).lstrip("\n") + "\n"


def _toml_scalar(value: Scalar) -> str:
    # JSON's strings, booleans and numbers are TOML's, given that non-ASCII letters are kept.
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


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
