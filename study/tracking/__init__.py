"""What is kept of a run and shown in MLflow; `store` is the one module that imports it."""

from typing import TYPE_CHECKING

from study.base.faces import handed_on

if TYPE_CHECKING:
    from study.tracking.run_record import RunRecord as RunRecord
    from study.tracking.store import Store as Store
    from study.tracking.store_errors import StoreError as StoreError
    from study.tracking.trial_record import TrialRecord as TrialRecord

__getattr__ = handed_on(
    __name__,
    {
        "RunRecord": "run_record",
        "Store": "store",
        "StoreError": "store_errors",
        "TrialRecord": "trial_record",
    },
)
