"""What the demo says of itself, before and after: what was measured on what, and what it doesn't show."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.text import Text

from .._internals import Engine

__all__ = ["closing", "opening"]


def opening(dense: str, where: str, seconds: float) -> Group:
    """What is shown, where it runs, and what the dense vectors are.

    Args:
        dense: the model of the dense vectors, as on the command line.
        where: which Qdrant it runs on.
        seconds: how long indexing took.
    """
    parts: list[RenderableType] = [
        Rule(Text("qdrant-rerank: one question, ranked in several ways", "bold"), align="left", style="cyan"),
        Text(f"An invented travel guide of 97 entries, indexed in {seconds:.1f} s into {where}."),
    ]
    return Group(*parts, _about_dense(dense), Text())


def _about_dense(dense: str) -> Text:
    if dense != "hash":
        return Text(f"Dense vectors are made by {dense.partition('@')[0]}, sparse ones by BM25.")
    return Text.assemble(
        "Dense vectors are hashed words and letter sequences: they match ",
        ("spelling, not meaning", "bold yellow"),
        ", and need no download; sparse ones are BM25. Trained vectors: ",
        ("--models fastembed", "bold"),
        ".",
    )


def closing(engine: Engine) -> Group:
    """What the numbers don't show."""
    lines = [
        "97 short documents and one author's judgments are an illustration, not evidence: measure on your own data.",
        "The formula's weights were set by hand. MMR gives up relevance for variety, which nDCG doesn't reward.",
    ]
    if engine == "local":
        lines.append(
            "Times are of qdrant-client's local mode, which is written in Python and slow at formulas; the Rust engine in this "
            "process is many times faster: pip install 'qdrant-rerank[cli,edge]'."
        )
    return Group(*(Text(f"• {line}", "dim") for line in lines))
