"""Names of `llama_index_qdrant_rerank` that tests and neighbours need and users don't.

Nothing is defined here, and a name is loaded when it is first used. Who moves or renames what lies behind changes the
two lines here, and no test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qdrant_rerank._lazy import load_lazily

if TYPE_CHECKING:
    from .node_scores import to_ranked_nodes as to_ranked_nodes
    from .nodes import NodeReader as NodeReader
    from .store import EmbedModelEncoder as EmbedModelEncoder
    from .store import SparseEncoder as SparseEncoder
    from .store import make_encoders as make_encoders
else:
    __getattr__ = load_lazily(
        __package__,
        {
            "node_scores": "to_ranked_nodes",
            "nodes": "NodeReader",
            "store": "EmbedModelEncoder, SparseEncoder, make_encoders",
        },
    )
