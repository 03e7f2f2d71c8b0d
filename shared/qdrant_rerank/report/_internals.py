"""Names of `qdrant_rerank.report` that tests and neighbours need and users don't.

Nothing is defined here, and a name is loaded when it is first used. Who moves or renames what lies behind changes the
two lines here, and no test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import load_lazily

if TYPE_CHECKING:
    from .curves import Curve as Curve
    from .curves import above as above
    from .curves import curves_of as curves_of
    from .curves import described as described
    from .curves import summed_up as summed_up
    from .document import check_target as check_target
    from .figures.cost import quality_over_cost as quality_over_cost
    from .figures.placing import gap as gap
    from .figures.placing import placed as placed
    from .figures.placing import width_of as width_of
    from .figures.reliability import reliability as reliability
    from .figures.topics import gains_by_topic as gains_by_topic
    from .figures.tuning import mean_over_parameter as mean_over_parameter
    from .labels import systems_of as systems_of
    from .words import meaning as meaning
else:
    __getattr__ = load_lazily(
        __package__,
        {
            "curves": "Curve, above, curves_of, described, summed_up",
            "document": "check_target",
            "figures.cost": "quality_over_cost",
            "figures.placing": "gap, placed, width_of",
            "figures.reliability": "reliability",
            "figures.topics": "gains_by_topic",
            "figures.tuning": "mean_over_parameter",
            "labels": "systems_of",
            "words": "meaning",
        },
    )
