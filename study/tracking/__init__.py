"""What is kept of a run and shown in MLflow; `reading` and `store` import it, and nothing else."""

import os
from typing import TYPE_CHECKING

from study.base.faces import handed_on

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # all read when mlflow is imported
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# A server that is away is noticed in seconds, not minutes: a sweep keeps what it could not write.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
os.environ.setdefault("PGCONNECT_TIMEOUT", "10")  # PostgreSQL's own, seconds

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
