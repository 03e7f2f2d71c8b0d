"""Cohere's embedding models and rerankers, by the official SDK. No key is read and nothing is loaded before first use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from importlib.util import find_spec
from typing import Any, ClassVar, Final, Literal
from urllib.parse import urlsplit

import numpy as np

from ..errors import MissingExtra, QueryError, ScoringError, StrategyError
from ..schema import Kind
from ..values import brief, check_counts, is_finite, is_whole, list_few
from .base import check_whole
from .web_calls import ApiKey, ApiKeyLike, CohereCalls, Options, Requests


def read_scores(reply: Any, wanted: int) -> list[float]:
    """The scores of one rerank answer, in the order in which the texts were sent.

    Raises ScoringError: there isn't exactly one finite score for each text.
    """
    results = getattr(reply, "results", None)
    if not isinstance(results, list):
        raise ScoringError(f"Cohere's answer has no list of results: {brief(reply)}")
    scores: dict[int, float] = {}
    for result in results:
        index, score = getattr(result, "index", None), getattr(result, "relevance_score", None)
        if not isinstance(index, int) or not is_whole(index, 0) or index >= wanted:
            raise ScoringError(f"Cohere returned a score for index {index!r}, but {wanted} texts were sent (0 to {wanted - 1})")
        if index in scores:
            raise ScoringError(f"Cohere returned two scores for index {index}: {scores[index]!r} and {score!r}")
        if not isinstance(score, int | float) or not is_finite(score):
            raise ScoringError(f"Cohere returned the score {score!r} for index {index}: it is no finite number")
        scores[index] = float(score)
    if missing := [place for place in range(wanted) if place not in scores]:
        raise ScoringError(f"Cohere returned {len(scores)} scores for {wanted} texts: none for index {list_few(missing)}")
    return [scores[place] for place in range(wanted)]


def read_embeddings(reply: Any, wanted: int, size: int | None) -> list[list[float]]:
    """The vectors of one embed answer.

    Raises ScoringError: there isn't one vector for each text, or they have another size than asked for, or odd numbers.
    """
    vectors = getattr(getattr(reply, "embeddings", None), "float_", None)
    if not isinstance(vectors, list):
        raise ScoringError(f"Cohere's answer has no float embeddings: {brief(reply)}")
    if len(vectors) != wanted:
        raise ScoringError(f"Cohere returned {len(vectors)} embeddings for {wanted} texts")
    sizes = {len(vector) if isinstance(vector, list) else 0 for vector in vectors}
    if len(sizes) > 1 or 0 in sizes or (size is not None and sizes != {size}):
        asked = "" if size is None else f"; asked for was {size}"
        raise ScoringError(f"Cohere returned embeddings of {', '.join(map(str, sorted(sizes)))} numbers{asked}")
    try:
        numbers = np.asarray(vectors, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ScoringError(f"Cohere returned an embedding that isn't made of numbers: {error}") from error
    if not np.isfinite(numbers).all():
        place = int(np.flatnonzero(~np.isfinite(numbers).all(axis=1))[0])
        raise ScoringError(f"Cohere returned an embedding with numbers that aren't finite, for text {place}")
    plain: list[list[float]] = numbers.tolist()
    return plain


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
        if find_spec("cohere") is None:
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
        check_counts(1, **{f"the attempts of {what}": self.attempts})
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
        return self._calls.run(self._scores(query, texts))

    async def ascore(self, query: str, texts: Sequence[str]) -> list[float]:
        """As `score`, without blocking."""
        return await self._calls.arun(self._scores(query, texts))

    def _scores(self, query: str, texts: Sequence[str]) -> Requests[list[float]]:
        if not query.strip():
            raise QueryError("the query is empty: Cohere has nothing to rank the texts by")
        patience, scores = self._calls.patience(), list[float]()
        for batch in self._batches([text for text in texts if text.strip()]):
            reply = yield patience, partial(self._ask, query, batch)
            scores += read_scores(reply, len(batch))
        given = iter(scores)
        return [next(given) if text.strip() else 0.0 for text in texts]

    def _check(self) -> None:
        super()._check()
        check_whole(self, max_tokens_per_doc=self.max_tokens_per_doc)

    def _ask(self, query: str, texts: list[str], client: Any, options: Options) -> Any:
        cut = {} if self.max_tokens_per_doc is None else {"max_tokens_per_doc": self.max_tokens_per_doc}
        return client.rerank(model=self.model, query=query, documents=texts, request_options=options, **cut)


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

    Raises as `CohereReranker`.
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
        return self._calls.run(self._vectors([text], "search_query"))[0]

    def encode_documents(self, texts: Sequence[str]) -> list[list[float]]:
        """The vectors of documents, in their order. The API refuses an empty text, and with it its batch."""
        return self._calls.run(self._vectors(texts, "search_document"))

    async def aencode_query(self, text: str) -> list[float]:
        """As `encode_query`, without blocking."""
        return (await self._calls.arun(self._vectors([text], "search_query")))[0]

    async def aencode_documents(self, texts: Sequence[str]) -> list[list[float]]:
        """As `encode_documents`, without blocking."""
        return await self._calls.arun(self._vectors(texts, "search_document"))

    def _vectors(self, texts: Sequence[str], side: str) -> Requests[list[list[float]]]:
        vectors: list[list[float]] = []
        for batch in self._batches(texts):  # each with a budget of its own: documents may be many
            reply = yield self._calls.patience(), partial(self._ask, batch, side)
            vectors += read_embeddings(reply, len(batch), self.output_dimension)
        return vectors

    def _check(self) -> None:
        super()._check()
        check_whole(self, output_dimension=self.output_dimension)
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
