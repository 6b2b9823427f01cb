"""What all tests share: one thread, no GPU, no network, the real data where STUDY_DATA has them."""

import os
import shutil

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["CUDA_VISIBLE_DEVICES"] = ""

from pathlib import Path

import pytest

# What would download is refused at once, as on a machine without a network; the tests' own servers are reached.
NOWHERE = "http://127.0.0.1:9"
os.environ |= {"http_proxy": NOWHERE, "https_proxy": NOWHERE, "no_proxy": "127.0.0.1,localhost"}


@pytest.fixture
def rng():
    import numpy as np

    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real data sets; tests that need it are left out where there is none."""
    root = os.environ.get("STUDY_DATA")
    if not root:
        pytest.skip("needs the real data: set STUDY_DATA to their folder")
    return Path(root)


@pytest.fixture(scope="session")
def real_squeezenet(real_data, tmp_path_factory) -> Path:
    """The trained weights of SqueezeNet 1.0, as a file that this torch opens."""
    path = real_data / "weights" / "squeezenet1_0-converted.pth"
    if not path.exists():
        pytest.skip("needs SqueezeNet's converted weights below STUDY_DATA")
    import torch

    from tests.weights import save_own

    return save_own(torch.load(path, weights_only=True), tmp_path_factory.mktemp("weights") / "squeezenet")


@pytest.fixture(scope="module")
def study(request, tmp_path_factory) -> tuple[Path, str]:
    """The study recipe's run on the twin of the PROGRAM that the module tests, and what it printed. Only read it."""
    return request.module.PROGRAM.shared_study(tmp_path_factory)


@pytest.fixture
def events(study):
    """What TensorBoard reads of that run."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(study[0]), size_guidance={"tensors": 0}).Reload()


@pytest.fixture(scope="session")
def chromium():
    """A headless Chromium of this machine, for tests marked `browser`; they are left out where there is none."""
    found = filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome")))
    program = next(found, None)
    if not program:
        pytest.skip("needs Chromium (Debian: apt install chromium); then: make test-browser")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program)
        yield browser
        browser.close()
