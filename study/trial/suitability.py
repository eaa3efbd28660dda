"""What does not go together in a configuration."""

from study.base.errors import UserError
from study.initializers import check_suits
from study.networks.attention import MOST_NUMBERS
from study.tasks.generating import GeneratingTask
from study.trial.parts import TrialParts
from study.trial.sections import DecoderConfig


def check(config: TrialParts) -> None:
    """Raises UserError for the first thing that another one excludes."""
    cell, init = config.cell, config.init
    check_suits(cell, init.recurrent, init.input, config.biases, init.vector)
    if problem := config.regularizer.refusal(cell):
        raise UserError(problem)
    _check_guess(config)
    _check_layers(config)
    _check_writing(config)
    config.credit.check(cell, config.task.input_size, config.model.hidden, config.train.batch)
    if not config.credit.goes_back:
        limited = config.clip.signal_limit is not None
        for what, needs in (
            (config.regularizer, config.regularizer.needs_recorder),
            (config.clip, limited),
        ):
            if needs:
                raise UserError(
                    f"{what.name!r} acts on the gradient on its way back through time, which "
                    f"credit {config.credit.name!r} has not; take another credit assignment"
                )


def _check_layers(config: TrialParts) -> None:
    network = config.model
    if network.bidirectional and config.task.causal:
        raise UserError(
            f"task {config.task.name!r} shows at later steps what it asks for, so a network that "
            "reads backward too would look it up; set model.bidirectional to false"
        )
    if network.embedding and not config.task.symbolic:
        raise UserError(
            f"task {config.task.name!r} shows numbers, and only symbols can be embedded; set "
            "model.embedding to 0"
        )
    if network.deep_output and config.task.reads_state:
        raise UserError(
            f"task {config.task.name!r} reads the state itself, with nothing trained after it; set "
            "model.deep_output to 0"
        )
    if not config.credit.goes_down:
        for name, usual in (("layers", 1), ("embedding", 0), ("deep_input", 0)):
            if getattr(network, name) != usual:
                raise UserError(
                    f"credit {config.credit.name!r} gives no gradient of a layer's input, which "
                    f"what is below it needs; set model.{name} to {usual}"
                )
    if (network.layers > 1 or network.bidirectional) and config.regularizer.needs_recorder:
        raise UserError(
            f"regularizer {config.regularizer.name!r} is of one layer in one direction; set "
            "model.layers to 1 and model.bidirectional to false"
        )


def _check_writing(config: TrialParts) -> None:
    decoder, looks = config.decoder, config.attention.looks
    if config.task.reads != "generated":
        if looks:
            raise UserError(
                f"attention {config.attention.name!r} is of an answer that is written once all is "
                f"read, and task {config.task.name!r} has none; set attention to 'none'"
            )
        for name, info in DecoderConfig.model_fields.items():
            if getattr(decoder, name) != info.default:
                raise UserError(
                    f"decoder.{name} is of an answer that is written once all is read, and task "
                    f"{config.task.name!r} has none; leave it at {info.default!r}"
                )
        return
    if config.credit.name != "full":
        raise UserError(
            f"credit {config.credit.name!r} follows one pass through time, and task "
            f"{config.task.name!r} is read in one and answered in another; take 'full'"
        )
    if config.regularizer.needs_recorder:
        raise UserError(
            f"regularizer {config.regularizer.name!r} is of one layer, and task "
            f"{config.task.name!r} has an encoder's and a decoder's; set regularizer to 'none'"
        )
    if looks and config.task.steps == 1:
        raise UserError(
            f"attention {config.attention.name!r} chooses among the steps that were read, and task "
            f"{config.task.name!r} reads one; set attention to 'none'"
        )
    if decoder.context == "attention" and not looks:
        raise UserError(
            "with decoder.context 'attention' what was read is known by looking alone; set "
            "attention to 'soft' or 'hard', or decoder.context to 'state'"
        )
    if decoder.context == "state" and not looks and config.model.bidirectional:
        raise UserError(
            "with decoder.context 'state' and no attention nothing reads what the encoder's backward "
            "direction puts out; set decoder.context to 'input' or 'both', or model.bidirectional to false"
        )
    if decoder.beam > 1 and isinstance(config.task, GeneratingTask) and config.task.canvas:
        raise UserError(
            f"decoder.beam looks for the most probable answer, and of task {config.task.name!r} none "
            "is wanted in every pixel; leave it at 1"
        )
    if decoder.teacher_forcing < 1:
        if config.attention.by_chance:
            raise UserError(
                f"attention {config.attention.name!r} learns from what the symbol written there costs, "
                "and with decoder.teacher_forcing below 1 it changes later ones too; set that to 1"
            )
        if config.clip.signal_limit is not None:
            raise UserError(
                "with decoder.teacher_forcing below 1 each step is a pass of its own, in which "
                f"clip {config.clip.name!r} cannot count; take another rule"
            )
    width = config.model.hidden * (2 if config.model.bidirectional else 1)
    config.attention.check(config.model.hidden, width)
    sizes = (config.train.batch, config.task.answer_steps, config.task.steps, config.model.hidden)
    numbers = config.attention.numbers(*sizes)
    if numbers > MOST_NUMBERS:
        raise UserError(
            f"attention {config.attention.name!r} keeps {numbers:.1e} numbers of a mini-batch, more "
            f"than {MOST_NUMBERS:.0e}: take shorter sequences, a smaller train.batch or, of "
            "'additive', another attention.score"
        )


def _check_guess(config: TrialParts) -> None:
    if config.train.optimizer != "guess":
        return
    if config.decoder.teacher_forcing < 1:
        raise UserError(
            "decoder.teacher_forcing is of training, and train.optimizer 'guess' has none; leave "
            "it at 1"
        )
    for what, name, usual in (
        ("credit", config.credit.name, "full"),
        ("regularizer", config.regularizer.name, "none"),
    ):
        if name != usual:
            raise UserError(
                f"{what} {name!r} acts on a gradient, and train.optimizer 'guess' has none; "
                f"leave it at {usual!r}"
            )
