"""Settings of the whole test run."""

import torch

# The tests' tensors are tiny: more threads only wait for one another.
torch.set_num_threads(1)
