"""Models that embed or read text. Each is imported when it is first named here, so that none has to be installed.

from qdrant_rerank.models import CohereReranker, FastembedDense, reranker
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import load_lazily

if TYPE_CHECKING:
    from .base import Reranker
    from .cohere import CohereEncoder, CohereReranker
    from .encoders import Bm25, Encoder, Encoders, HashedNgrams, ServerInference
    from .fastembed import FastembedCrossEncoder, FastembedDense, FastembedLate, FastembedSparse
    from .frameworks import from_compressor, from_postprocessor
    from .llm import LlmListwise, LlmPointwise
    from .llm_chat import LlmStats
    from .names import encoder, reranker
    from .similarity import EncoderSimilarity, MaxSim
    from .wrappers import Cached, Limited, ScoreCache
else:
    __getattr__ = load_lazily(
        __name__,
        {
            "base": "Reranker",
            "cohere": "CohereEncoder, CohereReranker",
            "encoders": "Bm25, Encoder, Encoders, HashedNgrams, ServerInference",
            "fastembed": "FastembedCrossEncoder, FastembedDense, FastembedLate, FastembedSparse",
            "frameworks": "from_compressor, from_postprocessor",
            "llm": "LlmListwise, LlmPointwise",
            "llm_chat": "LlmStats",
            "names": "encoder, reranker",
            "similarity": "EncoderSimilarity, MaxSim",
            "wrappers": "Cached, Limited, ScoreCache",
        },
    )

__all__ = [
    "Bm25",
    "Cached",
    "CohereEncoder",
    "CohereReranker",
    "Encoder",
    "EncoderSimilarity",
    "Encoders",
    "FastembedCrossEncoder",
    "FastembedDense",
    "FastembedLate",
    "FastembedSparse",
    "HashedNgrams",
    "Limited",
    "LlmListwise",
    "LlmPointwise",
    "LlmStats",
    "MaxSim",
    "Reranker",
    "ScoreCache",
    "ServerInference",
    "encoder",
    "from_compressor",
    "from_postprocessor",
    "reranker",
]
