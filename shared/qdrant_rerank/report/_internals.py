"""Names of `qdrant_rerank.report` that tests and neighbours need and users don't.

Nothing is defined here. Who moves or renames what lies behind changes the line here, and no test.
"""

# fmt: off
# ruff: isort: skip_file
# pyright: reportUnusedImport=false

from __future__ import annotations

from .document import check_target
from .figures import Curve, curves_of, draw_costs, draw_curve, draw_gains, draw_reliability
from .document import describe_curve, introduce_curves, sum_up_curve
from .story import count, explain_measure, systems_of
