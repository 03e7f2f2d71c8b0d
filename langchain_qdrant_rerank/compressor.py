"""A reranker as LangChain's document compressor: documents of any retriever, reranked."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import copy
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from math import isfinite, nan
from typing import Any, Final, Literal, Self

from langchain_core.callbacks import AsyncCallbackManager, BaseCallbackManager, CallbackManager, Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import ConfigDict, Field, PrivateAttr, model_validator

from qdrant_rerank import Query, QueryError, Rerank
from qdrant_rerank._internals import Candidate, DocumentReranker, Points, Workers, as_reranker, candidate_scores, notes_of

from . import fields
from .tracing import child_of

__all__ = ["QdrantRerankCompressor"]

BLENDED: Final = "blended_score"
NOT_RERANKED: Final = "not_reranked"


class QdrantRerankCompressor(BaseDocumentCompressor):
    """Reranks documents by a model, e.g. in a `ContextualCompressionRetriever`; Qdrant isn't asked.

        QdrantRerankCompressor(reranker=CohereReranker("rerank-v3.5"), top_n=5)

    The order is that of `Rerank` over the same documents. What comes out are new documents with the ids, text and metadata of
    those that went in, and the reranker's score under `score_key`. Async calls are async down to the reranker. What it runs in
    LangChain is a child of the run whose callbacks are passed.

    Attributes:
        reranker: a reranker, a function from a query and texts to scores (higher is better), or another
            `BaseDocumentCompressor` that reranks.
        top_n: how many documents to return at most; all if None.
        score_key: the metadata key for the reranker's score; what a document had under it is replaced.
        min_score: the score that a document has to reach; it leaves documents without text out.
        on_error: what happens when the reranker fails: "raise" its error, or "keep_order", which returns the documents as they
            came, the first `top_n` of them, each with the error's name under `not_reranked`, and warns.
        missing_text: what happens to a document without text: it comes "last", with `not_reranked`; or it is left out ("drop");
            or it is an error ("raise").
        blend: an expression of `rerank_score()`, or its text, that makes the final score, which goes to the metadata as
            `blended_score`; see `Rerank`. `field("metadata.rating", default=…)` reads metadata, as in a collection that
            langchain-qdrant wrote, and `score()` is what `retrieval_score_key` holds.
        retrieval_score_key: the metadata key of the score that a document came with.
        timeout: seconds for a call, e.g. 0.5; one that takes longer ends in a `qdrant_rerank.errors.TimeoutError`, or in the
            documents as they came where `on_error` is "keep_order".

    Raises:
        pydantic.ValidationError: an argument is unknown or can't be; the message has no argument's secret in it.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", hide_input_in_errors=True)

    reranker: fields.RerankerField = Field(exclude=True)
    top_n: int | None = None
    score_key: str = Field(default="relevance_score", min_length=1)
    min_score: float | None = None
    on_error: Literal["raise", "keep_order"] = "raise"
    missing_text: Literal["last", "drop", "raise"] = "last"
    blend: fields.BlendField = None
    retrieval_score_key: str = Field(default="score", min_length=1)
    timeout: fields.TimeoutField = None

    _workers: Workers = PrivateAttr(default_factory=Workers)

    @model_validator(mode="before")
    @classmethod
    def _fields_exist(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            fields.refuse_unknown(values, cls.model_fields, "compressor")
        return values

    @model_validator(mode="after")
    def _settings_fit(self) -> Self:
        if self.reranker is None:
            raise ValueError("a reranker is needed, e.g. reranker=CohereReranker('rerank-v3.5')")
        if self.min_score is not None and not isfinite(self.min_score):
            raise ValueError(f"min_score must be a finite number, got {self.min_score!r}")
        self._rerank()
        return self

    def compress_documents(self, documents: Sequence[Document], query: str, callbacks: Callbacks = None) -> Sequence[Document]:
        """The documents best first, as new ones.

        Raises:
            QueryError: the query is empty, or the blend reads `score()` and a document has none.
            ScoringError: the reranker's scores are unusable, or text is missing, where the settings say to raise.
        """
        if not documents:
            return []
        reranker, candidates = self._reranker(), self._candidates(documents)
        with _within(CallbackManager, callbacks) as context:
            points = context.run(reranker.rank, Query(query), candidates, self.min_score)
        return self._to_documents(documents, points)

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks = None
    ) -> Sequence[Document]:
        """As `compress_documents`, without blocking the event loop."""
        if not documents:
            return []
        reranker, candidates = self._reranker(), self._candidates(documents)
        with _within(AsyncCallbackManager, callbacks) as context:
            ranking: Coroutine[Any, Any, Points] = reranker.arank(Query(query), candidates, self.min_score)
            points = await asyncio.create_task(ranking, context=context)
        return self._to_documents(documents, points)

    def close(self) -> None:
        """End the threads that what blocks runs in."""
        self._workers.close()

    def _rerank(self) -> Rerank:
        return Rerank(on_error=self.on_error, missing_text=self.missing_text, blend=self.blend, top_n=self.top_n)

    def _reranker(self) -> DocumentReranker:
        return DocumentReranker(as_reranker(self.reranker), self._rerank(), self.timeout, self._workers)

    def _candidates(self, documents: Sequence[Document]) -> list[Candidate]:
        needed = self.blend is not None and any(True for _ in candidate_scores(self.blend))
        return [
            Candidate(document.page_content, {"metadata": document.metadata}, self._score(document, needed))
            for document in documents
        ]

    def _score(self, document: Document, needed: bool) -> float:
        score = document.metadata.get(self.retrieval_score_key)
        if isinstance(score, int | float) and not isinstance(score, bool):
            return float(score)
        if not needed:
            return nan
        there = ", ".join(map(repr, document.metadata)) or "none"
        raise QueryError(
            f"the blend reads score(), and the document {document.id!r} has no number under {self.retrieval_score_key!r} (its "
            f"metadata keys: {there}): make the retriever with score_key='score', or set retrieval_score_key='…'"
        )

    def _to_documents(self, documents: Sequence[Document], points: Points) -> list[Document]:
        return [self._renew(documents[int(point.id)], point.score, notes_of(point)) for point in points]

    def _renew(self, document: Document, score: float, notes: Mapping[str, Any]) -> Document:
        metadata = copy.deepcopy(document.metadata)
        if NOT_RERANKED in notes:
            metadata[NOT_RERANKED] = notes[NOT_RERANKED]
        else:
            metadata.pop(NOT_RERANKED, None)  # of an earlier reranking
            metadata[self.score_key] = float(notes["relevance_score"])
            if self.blend is not None:
                metadata[BLENDED] = float(score)
        return document.model_copy(update={"metadata": metadata})

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """The reranker by its class: what it holds may be secret."""
        return fields.show(self)


def _within(
    manager: type[CallbackManager] | type[AsyncCallbackManager], callbacks: Callbacks
) -> contextlib.AbstractContextManager[contextvars.Context]:
    """A context in which runs are children of the callbacks' run; without callbacks, of the run that is there."""
    if callbacks is None:
        return contextlib.nullcontext(contextvars.copy_context())
    return child_of(callbacks if isinstance(callbacks, BaseCallbackManager) else manager.configure(callbacks))
