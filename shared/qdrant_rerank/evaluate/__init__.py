"""Measure search strategies: topics and judgments in, means with intervals and costs out, and comparisons between them.

    from qdrant_rerank.evaluate import compare, evaluate, read_beir

    topics, qrels = read_beir("scifact", split="test")
    dense = evaluate(Nearest("dense"), topics, qrels, executor=executor, name="dense")
    fused = evaluate(hybrid, topics, qrels, executor=executor, name="fused")
    comparison = compare([dense, fused], measure="nDCG@10")  # str() of it says what can be claimed

Needs the extra `[learn]`: measures are ir-measures', intervals and tests scipy's. Both are loaded when they are used.
"""

from __future__ import annotations

from .comparison import Comparison, Difference, Finding, TopicChange, check, compare, frontier
from .data import Answer, Qrels, Ranked, Run, Topic, Topics, Usage
from .evaluation import Costs, Coverage, Evaluation, OnError, aevaluate, evaluate
from .files import read_beir, read_judged, read_qrels, read_run, read_run_file, read_topics, write_qrels, write_run
from .statistics import (
    DEFAULT_MEASURES,
    LEAST_TOPICS,
    Interval,
    bootstrap_interval,
    detectable_difference,
    holm,
    per_topic,
    randomisation_p,
    topics_needed,
)
from .systems import BoundStrategy, DocId, TopicFunction, unknown_documents

__all__ = [
    "DEFAULT_MEASURES",
    "LEAST_TOPICS",
    "Answer",
    "BoundStrategy",
    "Comparison",
    "Costs",
    "Coverage",
    "Difference",
    "DocId",
    "Evaluation",
    "Finding",
    "Interval",
    "OnError",
    "Qrels",
    "Ranked",
    "Run",
    "Topic",
    "TopicChange",
    "TopicFunction",
    "Topics",
    "Usage",
    "aevaluate",
    "bootstrap_interval",
    "check",
    "compare",
    "detectable_difference",
    "evaluate",
    "frontier",
    "holm",
    "per_topic",
    "randomisation_p",
    "read_beir",
    "read_judged",
    "read_qrels",
    "read_run",
    "read_run_file",
    "read_topics",
    "topics_needed",
    "unknown_documents",
    "write_qrels",
    "write_run",
]
