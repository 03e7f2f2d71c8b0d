"""What Cohere's embedding models and rerankers have in common: key, address, time budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from importlib.util import find_spec
from typing import ClassVar, Final
from urllib.parse import urlsplit

from ..errors import MissingExtra, StrategyError
from ..values import is_finite, is_whole
from .api_key import ApiKey, ApiKeyLike
from .cohere_calls import CohereCalls

__all__ = ["CohereModel"]

_VARIABLES: Final = ("CO_API_KEY", "COHERE_API_KEY")


@dataclass(frozen=True)
class CohereModel:
    """What both kinds of model have in common."""

    model: str
    _: KW_ONLY
    api_key: ApiKeyLike = field(default=None, repr=False, compare=False)
    base_url: str | None = None
    batch_size: int = 96
    timeout: float = 10.0
    seconds: float = 30.0
    attempts: int = 4
    _calls: CohereCalls = field(init=False, repr=False, compare=False)

    _most: ClassVar[int] = 96  # texts in one request

    def __post_init__(self) -> None:
        if find_spec("cohere") is None or find_spec("tenacity") is None:
            raise MissingExtra(type(self).__name__, "cohere")
        self._check()
        key = ApiKey.of(self.api_key, _VARIABLES)
        object.__setattr__(self, "api_key", key)
        object.__setattr__(self, "_calls", CohereCalls(key, self.base_url, self.attempts, self.seconds, self.timeout))

    def _check(self) -> None:
        what = type(self).__name__
        if not self.model:
            raise StrategyError(f"{what} needs the name of a model, such as 'rerank-v3.5' or 'embed-v4.0'")
        if not is_whole(self.batch_size, 1) or self.batch_size > self._most:
            raise StrategyError(f"the batch_size of {what} must be 1 to {self._most}, the API's limit; got {self.batch_size!r}")
        if not is_whole(self.attempts, 1):
            raise StrategyError(f"the attempts of {what} must be a whole number of at least 1, got {self.attempts!r}")
        for name in ("timeout", "seconds"):
            if not is_finite(getattr(self, name)) or getattr(self, name) <= 0:
                raise StrategyError(f"the {name} of {what} must be a number of seconds above 0, got {getattr(self, name)!r}")
        if self.base_url is not None:
            address = urlsplit(self.base_url)
            if address.username or address.password:
                raise StrategyError(f"the base_url of {what} holds a name or password: pass the key as api_key=")
            if address.scheme not in ("http", "https") or not address.hostname:
                raise StrategyError(f"the base_url of {what} must be a web address like 'https://…', got {self.base_url!r}")

    def _where(self) -> str:
        """The end of a fingerprint: nothing for Cohere's own servers, which have the last word on a model's name."""
        return "" if self.base_url is None else f"@{self.base_url.rstrip('/')}"

    def _batches(self, texts: Sequence[str]) -> list[list[str]]:
        return [list(texts[start : start + self.batch_size]) for start in range(0, len(texts), self.batch_size)]

    def close(self) -> None:
        """Close the connections of sync calls; the next call opens new ones."""
        self._calls.close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop; the next call opens new ones."""
        await self._calls.aclose()
