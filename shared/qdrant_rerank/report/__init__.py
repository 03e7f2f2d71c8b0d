"""A report one can look at: what was measured, what is best and whether that is real, and what to do next.

    from qdrant_rerank.evaluate import compare
    from qdrant_rerank.report import report

    report(compare([dense, fused]), title="Dense or fused?").save("report.html")

The same report is an HTML file that needs nothing else, Markdown, or JSON. Where things are: `building` checks what is
given, `page` says what stands in the report, `words` and `advice` put it in words, `figures` draws, `templates` lay it out.
Needs the extra `[learn]`: jinja2 for the pages, matplotlib for the figures. Both are loaded when they are used.
"""

from __future__ import annotations

from .building import report
from .document import Report
from .parts import Bin, Calibration, Coefficient

__all__ = ["Bin", "Calibration", "Coefficient", "Report", "report"]
