"""What is loaded when it is first used: names of a package (PEP 562), so that importing it loads little; what extras bring."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from .errors import MissingExtra


def load_lazily(package: str, names_by_module: Mapping[str, str]) -> Callable[[str], object]:
    """Return a module's `__getattr__` that loads names from modules of `package`: `{"module": "name, other as another"}`.

    Use it below `if TYPE_CHECKING: … else:`, since a type checker that sees a `__getattr__` believes every name to be there.
    """
    places: dict[str, tuple[str, str]] = {}
    for module, names in names_by_module.items():
        for name in names.split(", "):
            original, _, shown = name.partition(" as ")
            places[shown or original] = module, original

    def load(name: str) -> object:
        if name not in places:
            raise AttributeError(f"{package!r} has no attribute {name!r}")
        module, original = places[name]
        return getattr(import_module(f".{module}", package), original)

    return load


def load_extra(module: str, what: str, extra: str) -> Any:
    """Return a module that an extra brings. Raises MissingExtra, which names `what` needs it, where it isn't installed."""
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtra(what, extra) from error
