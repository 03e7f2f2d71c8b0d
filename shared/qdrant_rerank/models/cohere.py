"""Cohere's embedding models and rerankers, by the official SDK. No key is read and nothing is loaded before first use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Any, ClassVar, Final, Literal

from ..errors import QueryError, StrategyError
from ..schema import Kind
from ..values import is_whole
from .cohere_answers import read_embeddings, read_scores
from .cohere_base import CohereModel
from .cohere_calls import Options

__all__ = ["CohereEncoder", "CohereReranker"]

_SIZES: Final = {
    "embed-v4.0": 1536,
    "embed-english-v3.0": 1024,
    "embed-multilingual-v3.0": 1024,
    "embed-english-light-v3.0": 384,
    "embed-multilingual-light-v3.0": 384,
}


@dataclass(frozen=True)
class CohereReranker(CohereModel):
    """A reranker: Cohere's rerank API (v2). Scores are relevances from 0 to 1.

    A text that is empty or blank isn't sent, since the API refuses it: it gets 0.0, the lowest score. More than
    `batch_size` texts are several requests, one after another.

    Args:
        model: `"rerank-v3.5"`, `"rerank-english-v3.0"`, `"rerank-multilingual-v3.0"`, or a newer one by its name.
        max_tokens_per_doc: tokens after which the API cuts a text; its own limit (4096) if None.
        api_key: the key, as text or pydantic's `SecretStr`. None: CO_API_KEY or COHERE_API_KEY of the environment, read
            at first use. It is in no repr, log, error or pickle: an unpickled model reads the environment.
        base_url: the API's address, for deployments of your own; if None, CO_API_URL of the environment, else Cohere's.
        batch_size: texts in one request, at most 1000.
        timeout: how long one attempt waits for the server, in seconds.
        seconds: how long a call may take in all, with its attempts and the pauses between them.
        attempts: how often a request is tried. 429 (after as long as `Retry-After` says), 5xx, timeouts and broken
            connections are repeated.

    Raises:
        MissingExtra: the `cohere` extra isn't installed.
        StrategyError: an argument is wrong; at first use also: there is no key.
    """

    model: str = "rerank-v3.5"
    _: KW_ONLY
    batch_size: int = 1000
    max_tokens_per_doc: int | None = None

    _most: ClassVar[int] = 1000

    @property
    def fingerprint(self) -> str:
        """Model, address and `max_tokens_per_doc`."""
        return f"cohere-rerank:{self.model}{self._where()}:max_tokens_per_doc={self.max_tokens_per_doc}"

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """The relevance of each text, 0 to 1, in the order of the texts.

        Raises:
            ScoringError: the API's answer is unusable: a score is missing, doubled, not finite, or of an unknown text.
            QueryError: the query is empty.
            cohere.core.ApiError, httpx.TransportError: as the SDK raises them, with a note on what was tried.
        """
        sent, patience = self._sent(query, texts), self._calls.patience()
        scores: list[float] = []
        for batch in self._batches(sent):
            reply = self._calls.call(patience, partial(self._ask, query, batch))
            scores += read_scores(reply, len(batch))
        return _spread(scores, texts)

    async def ascore(self, query: str, texts: Sequence[str]) -> list[float]:
        """As `score`, without blocking."""
        sent, patience = self._sent(query, texts), self._calls.patience()
        scores: list[float] = []
        for batch in self._batches(sent):
            reply = await self._calls.acall(patience, partial(self._ask, query, batch))
            scores += read_scores(reply, len(batch))
        return _spread(scores, texts)

    def _check(self) -> None:
        super()._check()
        if self.max_tokens_per_doc is not None and not is_whole(self.max_tokens_per_doc, 1):
            raise StrategyError(f"max_tokens_per_doc must be a whole number of at least 1, got {self.max_tokens_per_doc!r}")

    def _sent(self, query: str, texts: Sequence[str]) -> list[str]:
        if not query.strip():
            raise QueryError("the query is empty: Cohere has nothing to rank the texts by")
        return [text for text in texts if text.strip()]

    def _ask(self, query: str, texts: list[str], client: Any, options: Options) -> Any:
        cut = {} if self.max_tokens_per_doc is None else {"max_tokens_per_doc": self.max_tokens_per_doc}
        return client.rerank(model=self.model, query=query, documents=texts, request_options=options, **cut)


def _spread(scores: list[float], texts: Sequence[str]) -> list[float]:
    """The scores of all texts, from those of the texts that were sent."""
    rest = iter(scores)
    return [next(rest) if text.strip() else 0.0 for text in texts]


@dataclass(frozen=True)
class CohereEncoder(CohereModel):
    """An encoder: Cohere's embedding API (v2), one dense vector for each text.

    Queries are embedded as `search_query`, documents as `search_document`; the two are made for each other.

    Args:
        model: `"embed-v4.0"`, `"embed-english-v3.0"`, or another by its name.
        output_dimension: numbers in a vector, for models that offer a choice; the model's own if None.
        truncate: which end of a too long text is cut: "END" or "START"; "NONE" makes the API refuse it.
        api_key, base_url, timeout, attempts: as for `CohereReranker`.
        seconds: how long one request may take in all, with its attempts and the pauses between them.
        batch_size: texts in one request, at most 96.

    Raises:
        MissingExtra: the `cohere` extra isn't installed.
        StrategyError: an argument is wrong; at first use also: there is no key.
    """

    model: str = "embed-v4.0"
    _: KW_ONLY
    output_dimension: int | None = None
    truncate: Literal["END", "START", "NONE"] = "END"

    kind: ClassVar[Kind] = "dense"

    @property
    def size(self) -> int | None:
        """Numbers in a vector; None if only an embedding will show it."""
        return self.output_dimension or _SIZES.get(self.model)

    @property
    def fingerprint(self) -> str:
        """Model, address and the settings that change vectors."""
        return f"cohere-embed:{self.model}{self._where()}:output_dimension={self.output_dimension}:truncate={self.truncate}"

    def encode_query(self, text: str) -> list[float]:
        """The vector of a query. Raises as `CohereReranker.score` does."""
        [vector] = self._encode([text], "search_query")
        return vector

    def encode_documents(self, texts: Sequence[str]) -> list[list[float]]:
        """The vectors of documents, in their order. The API refuses an empty text, and with it its batch."""
        return self._encode(texts, "search_document")

    async def aencode_query(self, text: str) -> list[float]:
        """As `encode_query`, without blocking."""
        [vector] = await self._aencode([text], "search_query")
        return vector

    async def aencode_documents(self, texts: Sequence[str]) -> list[list[float]]:
        """As `encode_documents`, without blocking."""
        return await self._aencode(texts, "search_document")

    def _encode(self, texts: Sequence[str], side: str) -> list[list[float]]:
        vectors: list[list[float]] = []
        for batch in self._batches(texts):  # each with a budget of its own: documents may be many
            reply = self._calls.call(self._calls.patience(), partial(self._ask, batch, side))
            vectors += read_embeddings(reply, len(batch), self.output_dimension)
        return vectors

    async def _aencode(self, texts: Sequence[str], side: str) -> list[list[float]]:
        vectors: list[list[float]] = []
        for batch in self._batches(texts):
            reply = await self._calls.acall(self._calls.patience(), partial(self._ask, batch, side))
            vectors += read_embeddings(reply, len(batch), self.output_dimension)
        return vectors

    def _check(self) -> None:
        super()._check()
        if self.output_dimension is not None and not is_whole(self.output_dimension, 1):
            raise StrategyError(f"output_dimension must be a whole number of at least 1, got {self.output_dimension!r}")
        if self.truncate not in ("END", "START", "NONE"):
            raise StrategyError(f"truncate is one of END, START, NONE; got {self.truncate!r}")

    def _ask(self, texts: list[str], side: str, client: Any, options: Options) -> Any:
        return client.embed(
            model=self.model,
            texts=texts,
            input_type=side,
            embedding_types=["float"],
            truncate=self.truncate,
            request_options=options,
            **({} if self.output_dimension is None else {"output_dimension": self.output_dimension}),
        )
