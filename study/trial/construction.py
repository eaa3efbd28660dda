"""The untrained network that a configuration describes."""

from typing import Any

from torch import Generator

from study.base.seeding import generator
from study.networks.encoder_decoder import EncoderDecoder
from study.networks.feedforward import Embedding, Perceptron
from study.networks.layer import Layer
from study.networks.model import Model
from study.networks.predictor import Predictor
from study.networks.recurrent import Recurrent, layers_of, width_of
from study.networks.stack import Stack
from study.trial.parts import TrialParts


def build_model(config: TrialParts) -> Model:
    """All its initial values come from the configuration's seed."""
    draws = generator("initialization", config.seed)
    if config.task.reads == "generated":
        return _encoder_decoder(config, draws)
    task, network = config.task, config.model
    embedded = network.embedding or task.input_size
    inputs = network.hidden if network.deep_input else embedded
    layer = _recurrent(config, inputs, draws, both=network.bidirectional)
    return Predictor(
        layer,
        task.output_size,
        task.reads,
        draws,
        embedding=_embedding(config, task.input_size, draws),
        deep=_perceptron(config, embedded, network.deep_input, draws),
        after=_perceptron(config, width_of(layer), network.deep_output, draws),
        reads_state=task.reads_state,
    )


def _encoder_decoder(config: TrialParts, draws: Generator) -> Model:
    task, network, hidden = config.task, config.model, config.model.hidden
    embedded = network.embedding or task.input_size
    inputs = hidden if network.deep_input else embedded
    encoder = _recurrent(config, inputs, draws, both=network.bidirectional)
    if task.steps == 1:
        _without_recurrence(encoder)
    told = network.embedding or task.output_size
    if config.decoder.context in ("input", "both"):
        told += width_of(encoder)
    decoder = _recurrent(config, hidden if network.deep_input else told, draws, both=False)
    attention = config.attention.module(hidden, width_of(encoder), task.output_size, draws)
    return EncoderDecoder(
        encoder,
        decoder,
        task.output_size,
        draws,
        context=config.decoder.context,
        forcing=config.decoder.teacher_forcing,
        attention=attention,
        embedding=_embedding(config, task.input_size, draws),
        deep=_perceptron(config, embedded, network.deep_input, draws),
        target_embedding=_embedding(config, task.output_size, draws),
        target_deep=_perceptron(config, told, network.deep_input, draws),
        after=_perceptron(config, hidden, network.deep_output, draws),
    )


def _recurrent(config: TrialParts, inputs: int, draws: Generator, *, both: bool) -> Recurrent:
    network = config.model
    sizes = (config.cell, inputs, network.hidden, network.phi)
    settings: dict[str, Any] = {
        "recurrent": config.init.recurrent,
        "inputs": config.init.input,
        "biases": config.biases,
        "vectors": config.init.vector,
        "generator": draws,
        "engine": config.train.engine,
    }
    if network.layers == 1 and not both:
        return Layer(*sizes, **settings)
    return Stack(
        *sizes, layers=network.layers, bidirectional=both, residual=network.residual, **settings
    )


def _without_recurrence(encoder: Recurrent) -> None:
    """What reads a single step has no use for matrices on a state, which is zero then."""
    for layer in layers_of(encoder):
        for name in layer.cell.recurrent_matrices:
            for parameter in layer.behind(name):
                parameter.requires_grad_(False)


def _embedding(config: TrialParts, symbols: int, draws: Generator) -> Embedding | None:
    size = config.model.embedding
    return Embedding(symbols, size, draws) if size else None


def _perceptron(config: TrialParts, inputs: int, depth: int, draws: Generator) -> Perceptron | None:
    network = config.model
    return Perceptron(inputs, network.hidden, depth, network.phi, draws) if depth else None
