"""Names of `llama_index_qdrant_rerank` that tests need and users don't."""

# pyright: reportUnusedImport=false

from __future__ import annotations

from .node_scores import to_ranked_nodes
from .nodes import NodeReader
from .store import EmbedModelEncoder, SparseEncoder, make_encoders
