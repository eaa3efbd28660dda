"""Pages of the MLflow UI, relative to the server's root.

Without `WORKFLOW` the UI opens its side for language models, which shows no table of runs.
"""

from urllib.parse import urlencode

WORKFLOW = {"workflowType": "machine_learning"}


def experiments() -> str:
    """The list of all experiments."""
    return f"#/experiments?{urlencode(WORKFLOW)}"


def runs(experiment_id: str, **facets: str) -> str:
    """An experiment's table of runs; ``facets`` are what the page's own links say of it."""
    return f"#/experiments/{experiment_id}/runs?{urlencode(WORKFLOW | facets)}"


def run(experiment_id: str, run_id: str) -> str:
    """One run's page."""
    return f"#/experiments/{experiment_id}/runs/{run_id}?{urlencode(WORKFLOW)}"
