"""Settings of the whole test run."""

import signal

import pytest
import torch

# Of a run in the background these are ignored, and would be by every program that a test starts.
for _number in (signal.SIGHUP, signal.SIGINT):
    if signal.getsignal(_number) is signal.SIG_IGN:
        _handler = signal.default_int_handler if _number == signal.SIGINT else lambda *_: None
        signal.signal(_number, _handler)

# The tests' tensors are tiny: more threads only wait for one another.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _same_draws() -> None:
    """What a test draws without saying from where does not depend on the tests before it."""
    torch.manual_seed(0)
