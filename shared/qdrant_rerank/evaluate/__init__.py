"""Measure search strategies: topics and judgments in, means with intervals and costs out, and comparisons between them.

    from qdrant_rerank.evaluate import compare, evaluate, read_beir

    topics, qrels = read_beir("scifact", split="test")
    dense = evaluate(Nearest("dense"), topics, qrels, executor=executor, name="dense")
    fused = evaluate(hybrid, topics, qrels, executor=executor, name="fused")
    comparison = compare([dense, fused], measure="nDCG@10")  # str() of it says what can be claimed

Needs the extra `[learn]`: measures are ir-measures', intervals and tests scipy's. Both are loaded when they are used.
"""

from __future__ import annotations

from .comparing import check, compare
from .comparisons import Change, Comparison, Difference, Finding
from .doc_ids import DocId
from .evaluation import OnError, aevaluate, evaluate
from .frontier import frontier
from .intervals import bootstrap_interval
from .measures import DEFAULT_MEASURES, per_topic
from .qrels import Qrels
from .reading import read_beir, read_judged, read_qrels, read_topics, write_qrels
from .results import Costs, Coverage, Evaluation, Interval
from .runs import Answer, Ranked, Run, Usage
from .significance import LEAST_TOPICS, detectable_difference, holm, randomisation_p, topics_needed
from .store import read_run_file
from .systems import Bound, TopicFunction
from .topics import Topic, Topics
from .trec import read_run, write_run
from .unknown import unknown_documents

__all__ = [
    "DEFAULT_MEASURES",
    "LEAST_TOPICS",
    "Answer",
    "Bound",
    "Change",
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
