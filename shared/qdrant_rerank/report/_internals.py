"""Names of `qdrant_rerank.report` that tests and neighbours need and users don't.

Nothing is defined here, and a name is loaded when it is first used. Who moves or renames what lies behind changes the
two lines here, and no test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import load_lazily

if TYPE_CHECKING:
    from .document import check_target as check_target
    from .figures import gains_by_topic as gains_by_topic
    from .figures import gap as gap
    from .figures import mean_over_parameter as mean_over_parameter
    from .figures import placed as placed
    from .figures import quality_over_cost as quality_over_cost
    from .figures import reliability as reliability
    from .figures import width_of as width_of
    from .tuning import Curve as Curve
    from .tuning import above as above
    from .tuning import curves_of as curves_of
    from .tuning import described as described
    from .tuning import summed_up as summed_up
    from .words import meaning as meaning
    from .words import systems_of as systems_of
else:
    __getattr__ = load_lazily(
        __package__,
        {
            "document": "check_target",
            "figures": "gains_by_topic, gap, mean_over_parameter, placed, quality_over_cost, reliability, width_of",
            "tuning": "Curve, above, curves_of, described, summed_up",
            "words": "meaning, systems_of",
        },
    )
