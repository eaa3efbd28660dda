"""A sweep: one driver that asks, files and tells, and one worker a core that trains.

`search` is the one module that imports Optuna; a worker loads neither it nor MLflow.
"""

from typing import TYPE_CHECKING

from study.base.faces import handed_on

if TYPE_CHECKING:
    from study.sweep.driver import Sweep as Sweep
    from study.sweep.driver import SweepStatus as SweepStatus
    from study.sweep.execution import LocalPool as LocalPool
    from study.sweep.spool import Spool as Spool

__getattr__ = handed_on(
    __name__,
    {"Sweep": "driver", "SweepStatus": "driver", "LocalPool": "execution", "Spool": "spool"},
)
