"""Names of `langchain_qdrant_rerank` that tests and neighbours need and users don't.

Nothing is defined here, and a name is loaded when it is first used. Who moves or renames what lies behind changes the
two lines here, and no test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qdrant_rerank._lazy import load_lazily

if TYPE_CHECKING:
    from .documents import to_documents as to_documents
    from .fields import EmbeddingsEncoder as EmbeddingsEncoder
else:
    __getattr__ = load_lazily(
        __package__,
        {
            "documents": "to_documents",
            "fields": "EmbeddingsEncoder",
        },
    )
