"""Networks: a layer runs one cell, a stack several, a model reads a task and answers it."""

from typing import TYPE_CHECKING

from study.base.faces import handed_on

if TYPE_CHECKING:
    from study.networks.attention import ATTENTION as ATTENTION
    from study.networks.attention import Attention as Attention
    from study.networks.encoder_decoder import EncoderDecoder as EncoderDecoder
    from study.networks.layer import Layer as Layer
    from study.networks.model import Model as Model
    from study.networks.predictor import Predictor as Predictor
    from study.networks.stack import Stack as Stack

__getattr__ = handed_on(
    __name__,
    {
        "ATTENTION": "attention",
        "Attention": "attention",
        "EncoderDecoder": "encoder_decoder",
        "Layer": "layer",
        "Model": "model",
        "Predictor": "predictor",
        "Stack": "stack",
    },
)
