"""Names of `qdrant_rerank.ingest` that tests and neighbours need and users don't.

Nothing is defined here, and a name is loaded when it is first used. Who moves or renames what lies behind changes the
two lines here, and no test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import load_lazily

if TYPE_CHECKING:
    from .documents import point_ids as point_ids
    from .writing import count_sent_numbers as count_sent_numbers
else:
    __getattr__ = load_lazily(
        __package__,
        {
            "documents": "point_ids",
            "writing": "count_sent_numbers",
        },
    )
