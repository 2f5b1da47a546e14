import importlib
import sys
from pathlib import Path

import pytest

STUDIES = Path(__file__).parents[2] / "studies"
SCRIPTS = ("plan", "figures", "one", "run", "table")


@pytest.fixture
def script(monkeypatch):
    """Imports one of the scripts as it is when run: beside the others."""
    monkeypatch.syspath_prepend(str(STUDIES))
    kept = {name: sys.modules.pop(name) for name in SCRIPTS if name in sys.modules}
    yield importlib.import_module
    for name in SCRIPTS:
        sys.modules.pop(name, None)
    sys.modules.update(kept)
