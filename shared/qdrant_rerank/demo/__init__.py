"""A demonstration on a small travel guide: what each strategy changes, what it costs, how well it does.

`guide` holds the documents, the questions and the strategies, `run` the demonstration from start to end. The command
`qdrant-rerank demo` runs it. A name is loaded when it is first used.
"""

# ruff: isort: skip_file
# pyright: reportUnusedImport=false

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import load_lazily

if TYPE_CHECKING:
    from .guide import CANDIDATES, CANDIDATES_CODE, CORPUS, DAY, FORMULA, HERE, LINEUP, PLAIN, SHOWN, TODAY, YEAR_2020
    from .guide import Entry, Question, questions
    from .run import DEPTH, CountingExecutor, Demo, DemoOutcome, ask, describe_limits, describe_setup, legend
    from .run import measure_ndcg, summary
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
