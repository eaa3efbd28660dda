"""A study: which arms are compared and what is searched in each, read from a TOML file.

`index` lists the studies from their files' text alone, so that it needs no network library.
"""

from typing import TYPE_CHECKING

from study.base.faces import handed_on

if TYPE_CHECKING:
    from study.spaces.file import load as load
    from study.spaces.index import available as available
    from study.spaces.index import find as find
    from study.spaces.space import Arm as Arm
    from study.spaces.space import Space as Space

__getattr__ = handed_on(
    __name__,
    {"load": "file", "available": "index", "find": "index", "Arm": "space", "Space": "space"},
)
