"""Kernels are compiled on every core before the tests that run over all of them."""

import fcntl
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from passes import LANGUAGE
from sampling import compiled, representatives

from study.cells import CELLS
from study.engines.native.kernel import kernel
from study.language.nonlinearities import NONLINEARITIES


@pytest.fixture(scope="session")
def catalogue_kernels(request, tmp_path_factory):
    """float64 for the whole catalogue, float32 for the cells that stand for it.

    One process at a time, which leaves them in the cache for the next. A few tests by themselves
    compile what they need.
    """
    wanted = [(cell, phi, torch.float64) for cell, phi in compiled()]
    wanted += [(cell, "tanh", torch.float32) for cell in representatives()]
    if len(request.session.items) < len(wanted):
        return
    made = [(CELLS[c], NONLINEARITIES[p], dtype) for c, p, dtype in wanted]
    made += [(cell, NONLINEARITIES["tanh"], torch.float64) for cell in LANGUAGE.values()]
    place = tmp_path_factory.getbasetemp().parent / "kernels.lock"
    with place.open("w") as lock, ThreadPoolExecutor(os.cpu_count()) as pool:
        fcntl.flock(lock, fcntl.LOCK_EX)
        list(pool.map(lambda key: kernel(*key), made))
