"""A key of a paid service, held so that nothing shows it: no repr, log, error, pickle or copy into a dictionary."""

from __future__ import annotations

import os
from typing import Any, Protocol, TypeAlias

from ..errors import StrategyError

__all__ = ["ApiKey", "ApiKeyLike", "HasSecret", "from_environment"]


class HasSecret(Protocol):
    """What holds a secret as pydantic's `SecretStr` does."""

    def get_secret_value(self) -> str: ...


ApiKeyLike: TypeAlias = "str | HasSecret | None"
"""A key, a `SecretStr` (or anything with `get_secret_value`), or None: then the environment is asked at first use."""


class ApiKey:
    """A key, or where in the environment to find it.

    Pickling keeps no key: an unpickled one asks the environment, like one made without a key.

    Args:
        value: the key; None for the environment's.
        variables: the environment's variables, of which the first that is set counts. Read at each `reveal`.

    Raises:
        StrategyError: the key is empty or has characters that no HTTP header can carry; it isn't shown.
    """

    __slots__ = ("_value", "_variables")

    def __init__(self, value: ApiKeyLike = None, variables: tuple[str, ...] = ()) -> None:
        self._variables = variables
        self._value = (
            None if value is None else _clean(value if isinstance(value, str) else value.get_secret_value(), "api_key=")
        )

    @classmethod
    def of(cls, value: ApiKeyLike, variables: tuple[str, ...]) -> ApiKey:
        """The key itself if it is one, else a new one."""
        return value if isinstance(value, ApiKey) else cls(value, variables)

    def reveal(self) -> str:
        """The key.

        Raises:
            StrategyError: there is none.
        """
        if self._value is not None:
            return self._value
        for variable in self._variables:
            if found := from_environment(variable):
                return _clean(found, f"the environment variable {variable}")
        listed = " or ".join(self._variables)
        raise StrategyError(f"no API key: pass api_key=…, or set {listed} in the environment (an unpickled model keeps no key)")

    get_secret_value = reveal

    def __repr__(self) -> str:
        return "ApiKey('***')" if self._value is not None else "ApiKey()"

    def __copy__(self) -> ApiKey:
        return self

    def __deepcopy__(self, memo: Any) -> ApiKey:
        return self

    def __reduce__(self) -> tuple[type[ApiKey], tuple[None, tuple[str, ...]]]:
        return type(self), (None, self._variables)


def from_environment(variable: str) -> str | None:
    """What a variable of the environment is set to now; None if it is unset or empty. The one place that reads any."""
    return os.environ.get(variable) or None


def _clean(value: str, source: str) -> str:
    key = value.strip()  # keys read from files end in a newline
    if not key:
        raise StrategyError(f"{source} holds an empty API key: leave it out to use the environment's, or pass the key")
    if not all("!" <= character <= "~" for character in key):  # an HTTP library's own complaint would show the key
        raise StrategyError(f"{source} is no API key: it has spaces, control or non-ASCII characters ({len(key)} characters)")
    return key
