"""Names of `qdrant_rerank.demo` that tests and neighbours need and users don't.

Nothing is defined here, and a name is loaded when it is first used. Who moves or renames what lies behind changes the
two lines here, and no test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import load_lazily

if TYPE_CHECKING:
    from .guide import CORPUS as CORPUS
    from .guide import HERE as HERE
    from .guide import TODAY as TODAY
    from .guide import Question as Question
    from .guide import questions as questions
    from .lineup import CANDIDATES as CANDIDATES
    from .lineup import CANDIDATES_CODE as CANDIDATES_CODE
    from .lineup import FORMULA as FORMULA
    from .lineup import LINEUP as LINEUP
    from .lineup import PLAIN as PLAIN
    from .lineup import SHOWN as SHOWN
    from .lineup import Entry as Entry
    from .measure import DEPTH as DEPTH
    from .measure import CountingExecutor as CountingExecutor
    from .measure import Outcome as Outcome
    from .measure import measured as measured
    from .measure import ndcg as ndcg
    from .opening import closing as closing
    from .opening import opening as opening
    from .run import Demo as Demo
    from .show import legend as legend
    from .show import summary as summary
else:
    __getattr__ = load_lazily(
        __package__,
        {
            "guide": "CORPUS, HERE, TODAY, Question, questions",
            "lineup": "CANDIDATES, CANDIDATES_CODE, FORMULA, LINEUP, PLAIN, SHOWN, Entry",
            "measure": "DEPTH, CountingExecutor, Outcome, measured, ndcg",
            "opening": "closing, opening",
            "run": "Demo",
            "show": "legend, summary",
        },
    )
