"""Names of `qdrant_rerank.models` that tests and neighbours need and users don't.

Nothing is defined here, and a name is loaded when it is first used. Who moves or renames what lies behind changes the
two lines here, and no test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import load_lazily

if TYPE_CHECKING:
    from .api_key import ApiKey as ApiKey
    from .base import AsyncReranker as AsyncReranker
    from .base import RerankerLike as RerankerLike
    from .base import as_reranker as as_reranker
    from .cohere_retries import Patience as Patience
    from .cohere_retries import retry_after as retry_after
    from .cohere_retries import without_key as without_key
    from .encoders import AsyncEncoder as AsyncEncoder
    from .encoders import EncoderLike as EncoderLike
    from .encoders import as_encoder as as_encoder
    from .fingerprints import encoder_fingerprint as encoder_fingerprint
    from .framework_models import CompressorModel as CompressorModel
    from .framework_models import PostprocessorModel as PostprocessorModel
    from .framework_scores import FrameworkStats as FrameworkStats
    from .framework_scores import Returned as Returned
    from .framework_scores import scored as scored
    from .hashing import features_of_word as features_of_word
    from .llm.answers import Bad as Bad
    from .llm.answers import Order as Order
    from .llm.answers import OrderAnswer as OrderAnswer
    from .llm.answers import ScoreAnswer as ScoreAnswer
    from .llm.answers import read_order as read_order
    from .llm.answers import read_score as read_score
    from .llm.fence import Fence as Fence
    from .llm.fence import cut as cut
    from .llm.fence import is_blank as is_blank
    from .llm.gate import Gate as Gate
    from .llm.listwise import windows as windows
    from .llm.naming import model_name as model_name
    from .once import Once as Once
    from .score_cache import CacheCounts as CacheCounts
    from .score_cache import score_keys as score_keys
    from .scores import ascored as ascored
    from .scores import checked as checked
    from .scores import scored as scores_scored
else:
    __getattr__ = load_lazily(
        __package__,
        {
            "api_key": "ApiKey",
            "base": "AsyncReranker, RerankerLike, as_reranker",
            "cohere_retries": "Patience, retry_after, without_key",
            "encoders": "AsyncEncoder, EncoderLike, as_encoder",
            "fingerprints": "encoder_fingerprint",
            "framework_models": "CompressorModel, PostprocessorModel",
            "framework_scores": "FrameworkStats, Returned, scored",
            "hashing": "features_of_word",
            "llm.answers": "Bad, Order, OrderAnswer, ScoreAnswer, read_order, read_score",
            "llm.fence": "Fence, cut, is_blank",
            "llm.gate": "Gate",
            "llm.listwise": "windows",
            "llm.naming": "model_name",
            "once": "Once",
            "score_cache": "CacheCounts, score_keys",
            "scores": "ascored, checked, scored as scores_scored",
        },
    )

__all__ = ["scores_scored"]  # names given here are handed on by this alone
