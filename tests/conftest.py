"""What holds for every test: no network, no drawing on a screen, and shapes that are what their annotations say."""

import os

import pytest
from jaxtyping import install_import_hook

# Before any test imports a library that reads them.
for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE"):
    os.environ[name] = "1"
# The networks of the tests are so small that threads cost more than they bring.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("MPLBACKEND", "Agg")

# Checks every call of a method against the shapes that it writes down. Here, before any test imports a method.
install_import_hook("vantage.methods", "beartype.beartype")


@pytest.fixture
def processor():
    """The embedded model's processor."""
    from vantage.tiny.architecture import build_processor

    return build_processor()


@pytest.fixture
def model():
    """An untrained embedded model, the same every time."""
    import torch

    from vantage.tiny.architecture import build_model

    with torch.random.fork_rng():
        torch.manual_seed(3)
        return build_model().eval()
