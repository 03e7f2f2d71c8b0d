"""Models that embed or read text. Each is imported when it is first named here, so that none has to be installed.

from qdrant_rerank.models import CohereReranker, FastembedDense, LlmPointwise
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import load_lazily

if TYPE_CHECKING:
    from .base import Reranker
    from .bm25 import Bm25
    from .cohere import CohereEncoder, CohereReranker
    from .encoders import Encoder, Encoders, ServerInference
    from .fastembed import FastembedDense, FastembedLate, FastembedSparse
    from .fastembed_cross import FastembedCrossEncoder
    from .framework_models import from_compressor, from_postprocessor
    from .hashing import HashedNgrams
    from .limits import Limited
    from .llm import LlmListwise, LlmPointwise
    from .score_cache import Cached, ScoreCache
    from .similarity import EncoderSimilarity, MaxSim
else:
    __getattr__ = load_lazily(
        __name__,
        {
            "base": "Reranker",
            "bm25": "Bm25",
            "cohere": "CohereEncoder, CohereReranker",
            "encoders": "Encoder, Encoders, ServerInference",
            "fastembed": "FastembedDense, FastembedLate, FastembedSparse",
            "fastembed_cross": "FastembedCrossEncoder",
            "framework_models": "from_compressor, from_postprocessor",
            "hashing": "HashedNgrams",
            "limits": "Limited",
            "llm": "LlmListwise, LlmPointwise",
            "score_cache": "Cached, ScoreCache",
            "similarity": "EncoderSimilarity, MaxSim",
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
    "MaxSim",
    "Reranker",
    "ScoreCache",
    "ServerInference",
    "from_compressor",
    "from_postprocessor",
]
