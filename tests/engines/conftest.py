"""Kernels are compiled two at a time before the tests that run over all of them."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from passes import LANGUAGE
from sampling import compiled, representatives

from study.cells import CELLS
from study.engines.kernel import kernel
from study.nonlinearities import NONLINEARITIES


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def catalogue_kernels(own_cache):
    """float64 for the whole catalogue, float32 for the cells that stand for it."""
    wanted = [(cell, phi, torch.float64) for cell, phi in compiled()]
    wanted += [(cell, "tanh", torch.float32) for cell in representatives()]
    made = [(CELLS[c], NONLINEARITIES[p], dtype) for c, p, dtype in wanted]
    made += [(cell, NONLINEARITIES["tanh"], torch.float64) for cell in LANGUAGE.values()]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda key: kernel(*key), made))
