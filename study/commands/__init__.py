"""The command line: each command imports what it needs itself, so that ``--help`` is quick."""

from typing import TYPE_CHECKING

from study.base.faces import handed_on

if TYPE_CHECKING:
    from study.commands.entry import main as main

__getattr__ = handed_on(__name__, {"main": "entry"})
