"""Names of `langchain_qdrant_rerank` that tests need and users don't."""

# pyright: reportUnusedImport=false

from __future__ import annotations

from .documents import to_documents
from .fields import EmbeddingsEncoder
