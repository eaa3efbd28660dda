"""The whole past."""

from typing import Literal

from study.credit.base import CREDIT, Credit


@CREDIT.register
class Full(Credit):
    """Back-propagation through the whole sequence. Werbos (1990)."""

    name: Literal["full"] = "full"
