"""Models that embed or read text. Each is imported when it is first named here, so that none has to be installed.

from qdrant_rerank.models import CohereReranker, FastembedDense, LlmPointwise
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .bm25 import Bm25
    from .cohere import CohereEncoder, CohereReranker
    from .encoders import Encoder, Encoders, ServerInference
    from .fastembed import FastembedDense, FastembedLate, FastembedSparse
    from .fastembed_cross import FastembedCrossEncoder
    from .feedback import FeedbackModel
    from .framework_models import from_compressor, from_postprocessor
    from .hashing import HashedNgrams
    from .limits import Limited
    from .llm import LlmListwise, LlmPointwise
    from .score_cache import Cached, ScoreCache
    from .similarity import EncoderSimilarity, MaxSim

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
    "FeedbackModel",
    "HashedNgrams",
    "Limited",
    "LlmListwise",
    "LlmPointwise",
    "MaxSim",
    "ScoreCache",
    "ServerInference",
    "from_compressor",
    "from_postprocessor",
]

_WHERE: Final = {
    "bm25": ("Bm25",),
    "cohere": ("CohereEncoder", "CohereReranker"),
    "encoders": ("Encoder", "Encoders", "ServerInference"),
    "fastembed": ("FastembedDense", "FastembedLate", "FastembedSparse"),
    "fastembed_cross": ("FastembedCrossEncoder",),
    "feedback": ("FeedbackModel",),
    "framework_models": ("from_compressor", "from_postprocessor"),
    "hashing": ("HashedNgrams",),
    "limits": ("Limited",),
    "llm": ("LlmListwise", "LlmPointwise"),
    "score_cache": ("Cached", "ScoreCache"),
    "similarity": ("EncoderSimilarity", "MaxSim"),
}
_MODULE_OF: Final = {name: module for module, names in _WHERE.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
