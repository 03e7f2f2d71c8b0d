"""Names of `qdrant_rerank.report` that tests and neighbours need and users don't.

Nothing is defined here, and a name is loaded when it is first used. Who moves or renames what lies behind changes the
two lines here, and no test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import load_lazily

if TYPE_CHECKING:
    from .document import check_target as check_target
    from .figures import Curve as Curve
    from .figures import curves_of as curves_of
    from .figures import draw_costs as draw_costs
    from .figures import draw_curve as draw_curve
    from .figures import draw_gains as draw_gains
    from .figures import draw_reliability as draw_reliability
    from .page import describe_curve as describe_curve
    from .page import introduce_curves as introduce_curves
    from .page import sum_up_curve as sum_up_curve
    from .words import explain_measure as explain_measure
    from .words import systems_of as systems_of
else:
    __getattr__ = load_lazily(
        __package__,
        {
            "document": "check_target",
            "figures": "Curve, curves_of, draw_costs, draw_curve, draw_gains, draw_reliability",
            "page": "describe_curve, introduce_curves, sum_up_curve",
            "words": "explain_measure, systems_of",
        },
    )
