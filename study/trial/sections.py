"""The sections of a configuration that are no choices: the network, its decoder, its start, training."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, field_validator, model_validator

from study.base.limits import BATCH
from study.base.registry import Registry, Settings
from study.cells import CELLS
from study.initializers import (
    BIASES,
    INPUT_WEIGHTS,
    RECURRENT,
    VECTORS,
    BiasInitializer,
    MatrixInitializer,
    VectorInitializer,
)
from study.language.nonlinearities import NONLINEARITIES
from study.probes import PROBES, Probe

MOST_UNITS = 8192  # of a layer in one direction


def _known(registry: Registry[Any]) -> BeforeValidator:
    def check(name: Any) -> Any:
        registry[name]
        return name

    return BeforeValidator(check)


class Section(Settings):
    """A part of a configuration that is no choice."""


class ModelConfig(Section):
    """The network: recurrent layers of one cell and a linear readout.

    Deep is meant as by Pascanu et al. (2014): fully connected layers of H units with nonlinearity phi.
    """

    cell: Annotated[str, _known(CELLS)] = Field(
        default="lstm", description="one of `longlag list cells`"
    )
    phi: Annotated[str, _known(NONLINEARITIES)] = Field(
        default="tanh", description="one of `longlag list nonlinearities`"
    )
    hidden: int = Field(
        default=64, ge=1, le=MOST_UNITS, description="H, units of a layer in one direction"
    )
    parameters: int = Field(
        default=0,
        ge=0,
        le=100_000_000,
        description="trained numbers in all, which H is chosen for; 0: H is model.hidden",
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


class DecoderConfig(Section):
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
    beam: int = Field(
        default=1, ge=1, le=100, description="width of beam search, beside greedy; 1 for none"
    )


class InitConfig(Section):
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


class TrainConfig(Section):
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
    batch: int = Field(
        default=64, ge=1, le=BATCH, description="sequences a mini-batch, or to try guesses on"
    )
    input_noise: float = Field(
        default=0.0, ge=0, description="standard deviation of noise added to training inputs"
    )
    steps: int = Field(default=1000, ge=1, description="budget, updates")
    operations: float = Field(
        default=0.0,
        ge=0,
        description="budget, floating-point operations, where they end before the updates; 0: none",
    )
    seconds: float = Field(
        default=0.0,
        ge=0,
        description="budget, seconds of processor time of training alone; 0: none. Not repeatable",
    )
    engine: Literal["auto", "native", "reference"] = "auto"
    evaluate_every: int = Field(default=50, ge=1, description="updates between two validations")
    patience: int = Field(
        default=0,
        ge=0,
        description="validations in a row without a lower loss after which training ends; 0: never",
    )
    probes: str = Field(
        default="default",
        description="default, none, all, or names of `longlag list probes` between commas",
    )
    probe_points: int = Field(
        default=8, ge=0, le=100, description="times within training at which probes measure"
    )

    @field_validator("probes")
    @classmethod
    def _probes_are_known(cls, text: str) -> str:
        PROBES.chosen(text)
        return text

    def chosen_probes(self, *, dear: bool) -> list[Probe]:
        return PROBES.chosen(self.probes, dear=dear)

    def probe_steps(self) -> list[int]:
        """Updates after which probes measure within training, evenly spread on a log scale.

        Each is an evaluation but the last one; where evaluations are few, so are these.
        """
        first, points = self.evaluate_every, self.probe_points
        spread = [first * (self.steps / first) ** (i / points) for i in range(points)]
        near = {first * max(1, round(step / first)) for step in spread}
        return sorted(step for step in near if step < self.steps)

    @model_validator(mode="after")
    def _parameters_are_the_optimizers(self) -> "TrainConfig":
        if self.optimizer in ("adam", "guess") and self.momentum:
            raise ValueError(
                f"momentum is a parameter of sgd, nesterov and rmsprop, not of {self.optimizer}; set it to 0"
            )
        if self.optimizer == "guess" and self.input_noise:
            raise ValueError("input_noise is for training; guess has none, set it to 0")
        for name, owner in (("guess_range", "guess"), ("alpha", "rmsprop")):
            usual = type(self).model_fields[name].default
            if self.optimizer != owner and getattr(self, name) != usual:
                raise ValueError(
                    f"{name} is a parameter of {owner}, not of {self.optimizer}; leave it at {usual:g}"
                )
        return self
