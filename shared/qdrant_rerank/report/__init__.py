"""A report one can look at: what was measured, what is best and whether that is real, and what to do next.

    from qdrant_rerank.evaluate import compare
    from qdrant_rerank.report import report

    report(compare([dense, fused]), title="Dense or fused?").save("report.html")

A report is an HTML file that needs nothing else, Markdown, or JSON. `document` checks and writes it, `parts` are what it is
made of, `story` puts them in words, `page` and the templates lay them out, `figures` draws. Needs the extra `[learn]`: jinja2
for the pages, matplotlib for the figures. Both are loaded when they are used.
"""

from __future__ import annotations

from .document import Report, report
from .story import Bin, Calibration, Coefficient

__all__ = ["Bin", "Calibration", "Coefficient", "Report", "report"]
