"""One trial: its configuration, the network that this describes, and its training.

Training yields records and knows neither a store nor a search.
"""

from typing import TYPE_CHECKING

from study.base.faces import handed_on

if TYPE_CHECKING:
    from study.trial.config import TrialConfig as TrialConfig
    from study.trial.construction import build_model as build_model
    from study.trial.training import train as train
    from study.trial.training import train_until as train_until

__getattr__ = handed_on(
    __name__,
    {
        "TrialConfig": "config",
        "build_model": "construction",
        "train": "training",
        "train_until": "training",
    },
)
