"""Settings of the whole test run."""

import pytest
import torch

# The tests' tensors are tiny: more threads only wait for one another.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _same_draws() -> None:
    """What a test draws without saying from where does not depend on the tests before it."""
    torch.manual_seed(0)
