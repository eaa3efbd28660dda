"""Kernels are compiled two at a time before the tests that run over all of them."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from passes import LANGUAGE, phis

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
    """float64 for every cell and φ, float32 for every cell."""
    wanted = [(cell, phi, torch.float64) for cell in CELLS for phi in phis(cell)]
    wanted += [(cell, "tanh", torch.float32) for cell in CELLS]
    made = [(CELLS[c], NONLINEARITIES[p], dtype) for c, p, dtype in wanted]
    made += [(cell, NONLINEARITIES["tanh"], torch.float64) for cell in LANGUAGE.values()]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda key: kernel(*key), made))
