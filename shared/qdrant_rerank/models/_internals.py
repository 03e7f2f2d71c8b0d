"""Names of `qdrant_rerank.models` that tests and neighbours need and users don't.

Nothing is defined here, and a name is loaded when it is first used. Who moves or renames what lies behind changes the
two lines here, and no test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import load_lazily

if TYPE_CHECKING:
    from .base import AsyncReranker as AsyncReranker
    from .base import RerankerLike as RerankerLike
    from .base import ascore_texts as ascore_texts
    from .base import check_scores as check_scores
    from .base import score_texts as score_texts
    from .encoders import AsyncEncoder as AsyncEncoder
    from .encoders import EncoderLike as EncoderLike
    from .encoders import as_encoder as as_encoder
    from .encoders import encoder_fingerprint as encoder_fingerprint
    from .frameworks import CompressorModel as CompressorModel
    from .frameworks import FrameworkStats as FrameworkStats
    from .frameworks import PostprocessorModel as PostprocessorModel
    from .frameworks import Returned as Returned
    from .frameworks import complete_scores as complete_scores
    from .llm.chat import Bad as Bad
    from .llm.chat import Order as Order
    from .llm.chat import OrderAnswer as OrderAnswer
    from .llm.chat import ScoreAnswer as ScoreAnswer
    from .llm.chat import model_name as model_name
    from .llm.chat import read_order as read_order
    from .llm.chat import read_score as read_score
    from .llm.prompts import Fence as Fence
    from .llm.prompts import cut_text as cut_text
    from .llm.prompts import is_blank as is_blank
    from .llm.rerankers import windows as windows
    from .local import features_of_word as features_of_word
    from .names import full_name as full_name
    from .threads import Gate as Gate
    from .threads import Once as Once
    from .web_calls import ApiKey as ApiKey
    from .web_calls import Patience as Patience
    from .web_calls import retry_after as retry_after
    from .web_calls import without_key as without_key
    from .wrappers import CacheCounts as CacheCounts
    from .wrappers import as_reranker as as_reranker
    from .wrappers import score_keys as score_keys
else:
    __getattr__ = load_lazily(
        __package__,
        {
            "base": "AsyncReranker, RerankerLike, ascore_texts, check_scores, score_texts",
            "encoders": "AsyncEncoder, EncoderLike, as_encoder, encoder_fingerprint",
            "frameworks": "CompressorModel, FrameworkStats, PostprocessorModel, Returned, complete_scores",
            "llm.chat": "Bad, Order, OrderAnswer, ScoreAnswer, model_name, read_order, read_score",
            "llm.prompts": "Fence, cut_text, is_blank",
            "llm.rerankers": "windows",
            "local": "features_of_word",
            "names": "full_name",
            "threads": "Gate, Once",
            "web_calls": "ApiKey, Patience, retry_after, without_key",
            "wrappers": "CacheCounts, as_reranker, score_keys",
        },
    )
