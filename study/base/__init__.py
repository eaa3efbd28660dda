"""What everything else stands on: errors in one line, limits, registries, seeds, TOML files.

Nothing here knows what a network is.
"""

from typing import TYPE_CHECKING

from study.base.faces import handed_on

if TYPE_CHECKING:
    from study.base.errors import UserError as UserError
    from study.base.registry import Choice as Choice
    from study.base.registry import Choices as Choices
    from study.base.registry import Registry as Registry
    from study.base.registry import load_modules as load_modules
    from study.base.seeding import derive as derive
    from study.base.seeding import generator as generator
    from study.base.toml import read_toml as read_toml
    from study.base.toml import write_toml as write_toml

__getattr__ = handed_on(
    __name__,
    {
        "UserError": "errors",
        "Registry": "registry",
        "Choice": "registry",
        "Choices": "registry",
        "load_modules": "registry",
        "derive": "seeding",
        "generator": "seeding",
        "read_toml": "toml",
        "write_toml": "toml",
    },
)
