"""What a trial is made of: its sections and what is chosen, each checked by itself."""

from typing import Annotated

from pydantic import BeforeValidator, Field, SerializeAsAny

from study.base.limits import SEED
from study.cells import CELLS
from study.clipping import CLIPPING, Clipping
from study.credit import CREDIT, Credit
from study.initializers import BiasInitializer
from study.language.cell import Cell
from study.language.deep_transition import deep_transition
from study.networks.attention import ATTENTION, Attention
from study.tasks import TASKS
from study.tasks.base import Task
from study.trial.regularizers import REGULARIZERS, Regularizer
from study.trial.sections import DecoderConfig, InitConfig, ModelConfig, Section, TrainConfig


class TrialParts(Section):
    """The parts of a configuration, before it is asked whether they go together."""

    seed: int = Field(default=0, ge=0, le=SEED)
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

    @property
    def cell(self) -> Cell:
        """The cell's equations, with as deep a transition as the model has."""
        return deep_transition(CELLS[self.model.cell], self.model.deep_hidden)

    @property
    def biases(self) -> BiasInitializer:
        """How the biases start, on this task."""
        bias = self.init.bias
        return bias.for_lag(self.task.lag[1]) if bias.follows_lag else bias
