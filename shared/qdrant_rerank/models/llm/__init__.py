"""Large language models as rerankers: `LlmPointwise` has each text scored, `LlmListwise` has lists put in order.

The LLM is a LangChain chat model, a LlamaIndex LLM or a function from text to text; no framework is imported until one of
its models is asked.
"""

from __future__ import annotations

from .chat import LlmStats
from .rerankers import LlmListwise, LlmPointwise

__all__ = ["LlmListwise", "LlmPointwise", "LlmStats"]
