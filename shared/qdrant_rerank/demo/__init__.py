"""A demonstration on a small travel guide: what each strategy changes, what it costs, how well it does.

`guide` holds the documents, the questions and the strategies, `run` the demonstration from start to end. The command
`qdrant-rerank demo` runs it. A name is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import load_lazily

if TYPE_CHECKING:
    from .guide import CANDIDATES as CANDIDATES
    from .guide import CANDIDATES_CODE as CANDIDATES_CODE
    from .guide import CORPUS as CORPUS
    from .guide import DAY as DAY
    from .guide import FORMULA as FORMULA
    from .guide import HERE as HERE
    from .guide import LINEUP as LINEUP
    from .guide import PLAIN as PLAIN
    from .guide import SHOWN as SHOWN
    from .guide import TODAY as TODAY
    from .guide import YEAR_2020 as YEAR_2020
    from .guide import Entry as Entry
    from .guide import Question as Question
    from .guide import questions as questions
    from .run import DEPTH as DEPTH
    from .run import CountingExecutor as CountingExecutor
    from .run import Demo as Demo
    from .run import DemoOutcome as DemoOutcome
    from .run import ask as ask
    from .run import describe_limits as describe_limits
    from .run import describe_setup as describe_setup
    from .run import legend as legend
    from .run import measure_ndcg as measure_ndcg
    from .run import summary as summary
else:
    __getattr__ = load_lazily(
        __name__,
        {
            "guide": "CANDIDATES, CANDIDATES_CODE, CORPUS, DAY, FORMULA, HERE, LINEUP, PLAIN, SHOWN, TODAY, "
            "YEAR_2020, Entry, Question, questions",
            "run": "DEPTH, CountingExecutor, Demo, DemoOutcome, ask, describe_limits, describe_setup, legend, "
            "measure_ndcg, summary",
        },
    )
