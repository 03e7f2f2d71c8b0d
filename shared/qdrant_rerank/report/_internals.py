"""Names of `qdrant_rerank.report` that tests and neighbours need and users don't.

Nothing is defined here, and a name is loaded when it is first used. Who moves or renames what lies behind changes the
two lines here, and no test.
"""

# fmt: off
# ruff: isort: skip_file
# pyright: reportUnusedImport=false

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import load_lazily

if TYPE_CHECKING:
    from .document import check_target
    from .figures import Curve, curves_of, draw_costs, draw_curve, draw_gains, draw_reliability
    from .document import describe_curve, introduce_curves, sum_up_curve
    from .story import count, explain_measure, systems_of
else:
    __getattr__ = load_lazily(
        __package__,
        {
            "document": "check_target, describe_curve, introduce_curves, sum_up_curve",
            "figures": "Curve, curves_of, draw_costs, draw_curve, draw_gains, draw_reliability",
            "story": "count, explain_measure, systems_of",
        },
    )
