"""The trained parameters of a network, as the bytes of a file."""

from base64 import b64encode
from io import BytesIO
from pathlib import Path

import torch
from torch import Tensor

from study.base.errors import UserError

WEIGHTS = "weights.pt"


def save(parameters: dict[str, Tensor]) -> bytes:
    """As torch saves a state_dict."""
    buffer = BytesIO()
    torch.save(parameters, buffer)
    return buffer.getvalue()


def as_text(parameters: dict[str, Tensor]) -> str:
    """`save`'s bytes in base 64, for messages that are text."""
    return b64encode(save(parameters)).decode()


class NotParameters(UserError):
    """The file is not one that `save` wrote."""


def load(file: Path) -> dict[str, Tensor]:
    """What `save` wrote. Nothing in the file is executed; raises NotParameters for any other."""
    try:
        found = torch.load(file, weights_only=True, map_location="cpu")
    except Exception:  # whatever the archive's readers throw at bytes that are none
        raise NotParameters(f"{file} does not hold the parameters of a network") from None
    if not isinstance(found, dict) or not all(isinstance(v, Tensor) for v in found.values()):
        raise NotParameters(f"{file} does not hold the parameters of a network")
    return found
