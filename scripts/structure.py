"""Prints how the code is built, in figures, and keeps them from growing: `python scripts/structure.py [--check | --lower]`.

`scripts/structure.toml` holds, for each figure, the cap (`now`) and where it shall go (`target`). `--check` fails when a figure
is above its cap; `--lower` writes caps that have become too high as low as the figures are. A cap rises only by a decision
(docs/decisions.md). `--names` lists what the figures count.

- files, lines: Python files in `shared/` and all their lines.
- circles: modules that import each other, in whatever way: at the top, in a function, below `if TYPE_CHECKING`. Each circle is
  a strongly connected component of at least two modules; all three import packages count.
- in_circles: the modules that are in a circle, so that none gets larger while another is opened.
- layers: those of the core in import-linter's contract (pyproject.toml), which `lint-imports` keeps.
- names: `__all__` of `qdrant_rerank`, without `__version__`.
- entered: our files that a warm `invoke` of the LangChain retriever runs code of: local mode, a formula over two searches.
- kinds: `isinstance` (and `case`) that asks for a kind of strategy, outside the classes of that kind.
- participles: public functions and methods (properties apart) whose name is a participle, or begins with one: not verbs.
- twice: public functions and classes of `shared/` that two modules define under one name.
"""

from __future__ import annotations

import argparse
import ast
import functools
import re
import sys
import threading
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

__all__ = [
    "FIGURES",
    "caps",
    "check",
    "components",
    "imports",
    "is_participle",
    "lower",
    "main",
    "measure",
    "modules",
]

ROOT: Final = Path(__file__).parents[1]
CAPS: Final = Path(__file__).with_suffix(".toml")
PACKAGES: Final = {
    "qdrant_rerank": ROOT / "shared" / "qdrant_rerank",
    "langchain_qdrant_rerank": ROOT / "langchain_qdrant_rerank",
    "llama_index_qdrant_rerank": ROOT / "llama_index_qdrant_rerank",
}

FIGURES: Final = ("files", "lines", "circles", "in_circles", "layers", "names", "entered", "kinds", "participles", "twice")

_NO_VERBS: Final = """
begun born bought bound broken brought built caught chosen done drawn driven eaten felt forgotten fought found given gone grown
heard held hidden kept known laid led left lent lost made meant met paid said seen sent shown slept sold sought spent spoken
stood stuck sung sworn taken taught thought thrown told torn understood woken won worn written
"""
_VERBS_AND_NOUNS: Final = "bring embed exceed feed king need proceed ring seed seeds speed spring string thing"


@dataclass(frozen=True)
class Module:
    """One file: its dotted name, whether it is a package's `__init__`, and its syntax tree."""

    name: str
    is_package: bool
    path: Path
    tree: ast.Module


@functools.cache
def modules() -> Mapping[str, Module]:
    """All modules of the three packages, by name."""
    found = {}
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            is_package = parts[-1] == "__init__"
            name = ".".join((package, *(parts[:-1] if is_package else parts)))
            found[name] = Module(name, is_package, path, ast.parse(path.read_text("utf-8")))
    return found


def imports(module: Module) -> Iterator[tuple[str, str]]:
    """What a module imports of ours, wherever it does: the module that is named, and the name from it ("" for itself)."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name in modules())
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(module, node)
            for alias in node.names:
                if f"{base}.{alias.name}" in modules() and alias.name not in _handed_on(base):
                    yield f"{base}.{alias.name}", ""
                elif base in modules():
                    yield base, alias.name


@functools.cache
def _handed_on(package: str) -> frozenset[str]:
    """The names that a package imports itself: `from .drift import drift` hides the module of that name."""
    nodes = (
        [node for node in ast.walk(modules()[package].tree) if isinstance(node, ast.ImportFrom)] if package in modules() else []
    )
    return frozenset(alias.asname or alias.name for node in nodes if node.module for alias in node.names)


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    parts = parts[: len(parts) - node.level + module.is_package]
    return ".".join([*parts, *([node.module] if node.module else [])])


# --- circles and layers


def circles() -> list[list[str]]:
    """The circles of modules, the largest first."""
    arrows = {name: {target for target, _ in imports(module)} - {name} for name, module in modules().items()}
    found = [sorted(each) for each in components(arrows) if len(each) > 1]
    return sorted(found, key=lambda each: (-len(each), each))


def layers() -> list[str]:
    """The layers of the core, the highest first, as import-linter's contract in pyproject.toml lists and keeps them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return next(contract["layers"] for contract in contracts if contract["name"] == "The layers of the core")


def components(arrows: Mapping[str, set[str]]) -> list[set[str]]:
    """The strongly connected components (Tarjan 1972), each after those that it points to."""
    index: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(node: str) -> None:
        index[node] = lowest[node] = len(index)
        stack.append(node)
        for target in sorted(arrows[node]):
            if target not in arrows:
                continue
            if target not in index:
                visit(target)
                lowest[node] = min(lowest[node], lowest[target])
            elif target in stack:
                lowest[node] = min(lowest[node], index[target])
        if lowest[node] == index[node]:
            place = stack.index(node)
            found.append(set(stack[place:]))
            del stack[place:]

    for node in sorted(arrows):
        if node not in index:
            visit(node)
    return found


# --- names


def top_level_names() -> list[str]:
    """What `qdrant_rerank` offers."""
    for node in modules()["qdrant_rerank"].tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return [name for name in ast.literal_eval(node.value) if name != "__version__"]
    raise LookupError("qdrant_rerank has no __all__")


def kinds_asked_for() -> list[str]:
    """Where code asks which kind of strategy a value is, outside that kind."""
    known = _kinds()
    return [f"{module.name}:{line} {kind}" for module in modules().values() for line, kind in _asked(module.tree, known, ())]


def _kinds() -> set[str]:
    """The classes below `Strategy` and `Stage`, whose names say so in their bases."""
    bases = {
        node.name: {ast.unparse(base).partition("[")[0] for base in node.bases}
        for module in modules().values()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef)
    }
    found = {"Strategy", "Stage"}
    while more := {name for name, above in bases.items() if above & found} - found:
        found |= more
    return found - {"Strategy", "Stage"}


def _asked(node: ast.AST, known: set[str], inside: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """The questions in a tree: the line, and the kind."""
    if isinstance(node, ast.ClassDef):
        inside = (*inside, node.name)
    asked: ast.AST | None = None
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("isinstance", "issubclass") and len(node.args) == 2:
        asked = node.args[1]
    elif isinstance(node, ast.MatchClass):
        asked = node.cls
    if asked is not None:
        names = {each.id for each in ast.walk(asked) if isinstance(each, ast.Name)}
        yield from ((asked.lineno, kind) for kind in sorted(names & known - set(inside)))  # type: ignore[attr-defined]
    for child in ast.iter_child_nodes(node):
        yield from _asked(child, known, inside)


def participles() -> list[str]:
    """Public functions and methods that no verb names."""
    return [
        f"{module.name}.{function}"
        for module in modules().values()
        for function in _functions(module.tree, "")
        if is_participle(function.rpartition(".")[2])
    ]


def _functions(node: ast.Module | ast.ClassDef, before: str) -> Iterator[str]:
    for each in node.body:
        if isinstance(each, ast.ClassDef) and not each.name.startswith("_"):
            yield from _functions(each, f"{before}{each.name}.")
        elif isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and not each.name.startswith("_"):
            decorators = map(ast.unparse, each.decorator_list)
            yield from () if any("property" in each for each in decorators) else (f"{before}{each.name}",)


def is_participle(name: str) -> bool:
    """Whether a name is a participle, or begins with one."""
    first = name.partition("_")[0]
    return first in _NO_VERBS.split() or (
        re.search(r"..(ed|ing)$", first) is not None and first not in _VERBS_AND_NOUNS.split()
    )


def defined_twice() -> list[str]:
    """Public names that two modules of `shared/` define, each its own."""
    where: dict[str, list[str]] = defaultdict(list)
    for module in modules().values():
        if module.name.split(".")[0] == "qdrant_rerank":
            defined = {
                each.name
                for each in module.tree.body
                if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            }
            for name in defined:
                where[name].append(module.name)
    return [f"{name}: {', '.join(places)}" for name, places in sorted(where.items()) if len(places) > 1 and name[0] != "_"]


# --- a call


def files_entered() -> list[str]:
    """Our files that run code in a warm `invoke` of the LangChain retriever."""
    retriever = _retriever()
    retriever.invoke("how do I reset my password?")
    entered: set[str] = set()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            entered.add(frame.f_code.co_filename)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        retriever.invoke("how do I reset my password?")
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    found = [Path(each).resolve() for each in entered]
    ours = (PACKAGES["qdrant_rerank"], PACKAGES["langchain_qdrant_rerank"])
    return sorted(str(each.relative_to(ROOT)) for each in found if any(each.is_relative_to(folder) for folder in ours))


def _retriever() -> Any:
    """A retriever over a formula on two searches, in local mode."""
    from qdrant_client import QdrantClient

    from langchain_qdrant_rerank import QdrantRerankRetriever
    from qdrant_rerank import Formula, Nearest, field, score
    from qdrant_rerank.ingest import Document, ensure_collection, ingest
    from qdrant_rerank.models import Bm25, Encoder, HashedNgrams

    formula = 0.8 * score("dense") + 0.1 * score("bm25") + 0.1 * field("metadata.stars", default=3.0)
    strategy = Formula(formula).over(Nearest("dense", limit=20), Nearest("bm25", limit=20))
    client = QdrantClient(":memory:")
    encoders: dict[str, Encoder] = {"dense": HashedNgrams(), "bm25": Bm25()}
    texts = ("Reset your password in the settings.", "The station closes at ten.", "A password has twelve characters.")
    documents = [
        Document(text=text, id=place, payload={"page_content": text, "metadata": {"stars": place}})
        for place, text in enumerate(texts)
    ]
    ensure_collection(client, "docs", encoders, strategy=strategy)
    ingest(client, "docs", documents, encoders)
    return QdrantRerankRetriever(client=client, collection_name="docs", encoders=encoders, strategy=strategy, k=2)


# --- the figures


def measure() -> dict[str, list[str]]:
    """What each figure counts; the figure is how many there are."""
    ours = [module.path for module in modules().values() if module.path.is_relative_to(ROOT / "shared")]
    return {
        "files": [str(path.relative_to(ROOT)) for path in ours],
        "lines": [line for path in ours for line in path.read_text("utf-8").splitlines()],
        "circles": [f"{len(members)}: {', '.join(members)}" for members in circles()],
        "in_circles": [name for members in circles() for name in members],
        "layers": layers(),
        "names": top_level_names(),
        "entered": files_entered(),
        "kinds": kinds_asked_for(),
        "participles": participles(),
        "twice": defined_twice(),
    }


def caps() -> dict[str, dict[str, int]]:
    """Cap and target of each figure."""
    return tomllib.loads(CAPS.read_text("utf-8"))


def check(figures: Mapping[str, int]) -> list[str]:
    """What is above its cap, each as a sentence."""
    return [
        f"{name}: {figures[name]} are more than {cap['now']}, the cap in scripts/structure.toml"
        for name, cap in caps().items()
        if figures[name] > cap["now"]
    ]


def lower(figures: Mapping[str, int]) -> None:
    """Write the caps anew, none above its figure."""
    text = CAPS.read_text("utf-8")
    for name, cap in caps().items():
        text = re.sub(rf"^({name} = \{{ now = )[\d_]+", rf"\g<1>{min(cap['now'], figures[name])}", text, flags=re.M)
    CAPS.write_text(text, "utf-8")


def main(arguments: Iterable[str] | None = None) -> int:
    """Print the figures; return 1 when one is above its cap and that is asked for."""
    parser = argparse.ArgumentParser(description="How the code is built, in figures.")
    parser.add_argument("--check", action="store_true", help="fail when a figure is above its cap")
    parser.add_argument("--lower", action="store_true", help="lower the caps to the figures")
    parser.add_argument("--names", nargs="*", metavar="FIGURE", help="list what these figures count (all but lines by default)")
    options = parser.parse_args(None if arguments is None else list(arguments))
    found = measure()
    figures = {name: len(each) for name, each in found.items()}
    if options.names is not None:
        for name in options.names or [each for each in FIGURES if each != "lines"]:
            print(f"== {name}", *found[name], sep="\n")
    if options.lower:
        lower(figures)
    print(f"{'':12}{'today':>8}{'cap':>8}{'target':>8}")
    for name, cap in caps().items():
        print(f"{name:12}{figures[name]:8}{cap['now']:8}{cap['target']:8}")
    problems = check(figures) if options.check else []
    print(*problems, sep="\n", end="\n" if problems else "", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
