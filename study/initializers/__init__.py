"""How a layer's parameters start: one file a family. Each refuses the cells that it makes no sense for.

To add one, write a decorated class in a file here: ``@RECURRENT.register`` for the matrices of the
state, ``@INPUT_WEIGHTS.register`` for those of the input, ``@BIASES.register`` for the biases,
``@VECTORS.register`` for the other vectors. Its fields become ``init.….field`` of a configuration.
"""

from study.base.registry import load_modules
from study.initializers.base import (
    BIASES,
    INPUT_WEIGHTS,
    RECURRENT,
    VECTORS,
    BiasInitializer,
    Initializer,
    MatrixInitializer,
    VectorInitializer,
    biases_of,
    check_suits,
    vectors_of,
)
from study.initializers.biases import ForgetBias, UniformBias, Zeros
from study.initializers.dense import Normal, Uniform, Xavier
from study.initializers.identity import Identity, ScaledIdentity
from study.initializers.orthogonal import Orthogonal

__all__ = [
    "BIASES",
    "INPUT_WEIGHTS",
    "RECURRENT",
    "VECTORS",
    "BiasInitializer",
    "ForgetBias",
    "Identity",
    "Initializer",
    "MatrixInitializer",
    "Normal",
    "Orthogonal",
    "ScaledIdentity",
    "Uniform",
    "UniformBias",
    "VectorInitializer",
    "Xavier",
    "Zeros",
    "biases_of",
    "check_suits",
    "vectors_of",
]

load_modules(__name__)
