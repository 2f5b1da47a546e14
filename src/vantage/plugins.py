"""Code of one's own that recipes and commands import first, for example to register rewards.

Only what a recipe's ``plugins`` or the command line names is imported; data files and models cannot name any.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path

from vantage.errors import ConfigError, VantageError


def load(names: Iterable[str]) -> None:
    """Import Python files and modules, each once in a process.

    Args:
        names: files that end in ``.py``, or names of modules.

    Raises:
        ConfigError: there is no such file or module, or it fails when it is imported.
    """
    for name in names:
        try:
            if name.endswith(".py"):
                _file(Path(name))
            else:
                importlib.import_module(name)
        except VantageError:
            raise
        except Exception as error:
            raise ConfigError(f"plugin {name!r} cannot be imported: {type(error).__name__}: {error}") from error


def _file(path: Path) -> None:
    if not path.is_file():
        raise ConfigError(f"plugin {str(path)!r}: no such file")
    # Two files of one name in different folders are two modules.
    name = f"{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"plugin {str(path)!r}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
