"""SciFact in BEIR layout: 5 183 abstracts, and claims with the abstracts that decide them.

The data lies beside the repository and is never copied into it. This module reads it, says why it
can't, and keeps vectors of its texts so that a benchmark embeds them once. It knows no model and
no engine.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Document",
    "Encoder",
    "SciFact",
    "Split",
    "Vectors",
    "claim_vectors",
    "document_vectors",
    "folder",
    "load",
    "missing",
]

Split = Literal["train", "test"]
Vectors = NDArray[np.float32]

_FILES = ("corpus.jsonl", "queries.jsonl", "qrels_train.tsv", "qrels_test.tsv")


class Encoder(Protocol):
    """What this module needs of a dense model; `name` must change whenever its vectors do."""

    @property
    def name(self) -> str: ...

    def encode_documents(self, texts: Sequence[str]) -> list[list[float]]: ...

    def encode_query(self, text: str) -> list[float]: ...


@dataclass(frozen=True)
class Document:
    """One abstract. Its id is a number, so it can be a Qdrant point id as it is."""

    id: int
    title: str
    abstract: str

    @property
    def text(self) -> str:
        """The title and the abstract, joined by a space: what gets embedded and indexed."""
        return f"{self.title} {self.abstract}"


@dataclass(frozen=True)
class SciFact:
    """The corpus, the claims and the judgements.

    `claims` maps a split to {claim id: text}, `qrels` a split to {claim id: {document id: 1}},
    the form that ir_measures takes. All of these ids are strings.
    """

    documents: tuple[Document, ...]
    claims: Mapping[Split, Mapping[str, str]]
    qrels: Mapping[Split, Mapping[str, Mapping[str, int]]]


def folder() -> Path:
    """Return where the data should be: `$QDRANT_RERANK_SCIFACT`, or shared/ by the repository."""
    chosen = os.environ.get("QDRANT_RERANK_SCIFACT")
    if chosen:
        return Path(chosen)
    repository = Path(__file__).resolve().parent.parent
    return repository.parent / "shared" / "data" / "scifact"


def missing() -> str | None:
    """Return the reason why the data can't be loaded, or None if it can."""
    absent = [name for name in _FILES if not (folder() / name).is_file()]
    if not absent:
        return None
    return f"SciFact: no {', '.join(absent)} in {folder()} (QDRANT_RERANK_SCIFACT sets the folder)"


def load() -> SciFact:
    """Read the whole data set (8 MB). Raises `FileNotFoundError` with the reason of `missing`."""
    reason = missing()
    if reason is not None:
        raise FileNotFoundError(reason)
    documents = tuple(Document(int(row["_id"]), row["title"], row["text"]) for row in _json_lines(folder() / "corpus.jsonl"))
    texts = {row["_id"]: row["text"] for row in _json_lines(folder() / "queries.jsonl")}
    qrels: dict[Split, dict[str, dict[str, int]]] = {
        "train": _read_qrels(folder() / "qrels_train.tsv"),
        "test": _read_qrels(folder() / "qrels_test.tsv"),
    }
    claims: dict[Split, dict[str, str]] = {split: {claim: texts[claim] for claim in judged} for split, judged in qrels.items()}
    return SciFact(documents, claims, qrels)


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """Read a BEIR qrels file: a header line, then claim id, document id and grade by tabs."""
    qrels: dict[str, dict[str, int]] = {}
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        claim, document, grade = line.split("\t")
        qrels.setdefault(claim, {})[document] = int(grade)
    return qrels


def document_vectors(data: SciFact, encoder: Encoder, cache: Path | None = None) -> Vectors:
    """Return float32 vectors of shape (documents, dimensions), row i for `data.documents[i]`.

    Computed once, then read from `cache` (by default ~/.cache/qdrant-rerank/scifact).
    """
    texts = [document.text for document in data.documents]
    return _cached(f"documents-{encoder.name}", texts, encoder.encode_documents, cache)


def claim_vectors(data: SciFact, encoder: Encoder, split: Split, cache: Path | None = None) -> dict[str, list[float]]:
    """Return {claim id: query vector} for one split, cached like `document_vectors`."""
    claims = data.claims[split]
    rows = _cached(
        f"claims-{split}-{encoder.name}",
        list(claims.values()),
        lambda texts: [encoder.encode_query(text) for text in texts],
        cache,
    )
    return dict(zip(claims, rows.tolist(), strict=True))


def _cached(
    label: str,
    texts: Sequence[str],
    encode: Callable[[Sequence[str]], list[list[float]]],
    cache: Path | None,
) -> Vectors:
    digest = hashlib.sha256(json.dumps(list(texts)).encode()).hexdigest()[:16]
    home = cache or Path.home() / ".cache" / "qdrant-rerank" / "scifact"
    path = home / f"{label}-{digest}.npy"
    if path.is_file():
        stored: Vectors = np.load(path, allow_pickle=False)
        return stored
    vectors = np.asarray(encode(texts), dtype=np.float32)
    _save(path, vectors)
    return vectors


def _save(path: Path, vectors: Vectors) -> None:
    """Write the array under its name by one rename, so that no reader meets half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".save-", dir=path.parent) as scratch:
        staged = Path(scratch) / path.name
        np.save(staged, vectors, allow_pickle=False)
        staged.replace(path)
