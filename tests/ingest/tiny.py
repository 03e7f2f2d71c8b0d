"""Encoders as small as they can be, which count what they are asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from qdrant_client import QdrantClient, models

from qdrant_rerank.ingest import Document


@dataclass
class Letters:
    """A dense vector: how often the first letters of the alphabet occur. Fails on texts with "poison" in them."""

    size: int = 4
    texts: list[str] = field(default_factory=list)

    kind = "dense"

    def encode_query(self, text: str) -> list[float]:
        return [1.0 + text.count(letter) for letter in "abcdefghijklmnop"[: self.size]]

    def encode_documents(self, texts: Sequence[str]) -> list[Any]:
        if any("poison" in text for text in texts):
            raise RuntimeError("can't read this")
        self.texts.extend(texts)
        return [self.encode_query(text) for text in texts]


@dataclass
class Silent:
    """Makes the same vector of any text, and doesn't say of what kind it is."""

    vector: Any

    def encode_query(self, text: str) -> Any:
        return self.vector

    def encode_documents(self, texts: Sequence[str]) -> list[Any]:
        return [self.vector for _ in texts]


@dataclass
class Words(Silent):
    """A sparse vector for IDF."""

    vector: Any = field(default_factory=lambda: models.SparseVector(indices=[3, 5], values=[1.0, 2.0]))

    kind = "sparse"
    idf = True


def documents(count: int, start: int = 0) -> list[Document]:
    """Documents "d0", "d1", …"""
    return [Document(f"d{number}", f"text {number}", {"number": number}) for number in range(start, start + count)]


def stored(client: QdrantClient) -> dict[Any, Any]:
    """The payload of every point in "docs", by the point's id."""
    return {record.id: record.payload for record in client.scroll("docs", limit=10_000)[0]}


class Watched(Iterator[Document]):
    """An iterator that counts how many documents were taken from it."""

    def __init__(self, source: Iterable[Document]) -> None:
        self._source = iter(source)
        self.taken = 0

    def __next__(self) -> Document:
        found = next(self._source)
        self.taken += 1
        return found
