"""What a public repository says of itself is true: classifiers, the table of versions, the workflow, llms.txt, links."""

from __future__ import annotations

import re
import tomllib

import pytest

from scripts import matrix

from .blocks import ROOT

DOCS = ROOT / "docs"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CELLS = matrix.read_cells(matrix.PAGE.read_text("utf-8"))


def test_the_page_of_versions_is_what_the_matrix_makes_of_its_cells() -> None:
    assert matrix.PAGE.read_text("utf-8") == matrix.page(CELLS), "run: python scripts/matrix.py --page"


def test_classifiers_claim_the_pythons_that_were_tested_and_no_other() -> None:
    tried: dict[str, list[bool]] = {}
    for cell in CELLS:
        minor = ".".join(cell.python.split(".")[:2])
        tried.setdefault(minor, []).append("passed" in cell.outcome and not re.search("failed|error", cell.outcome))
    claimed = set(re.findall(r"Python :: (3\.\d+)", " ".join(PROJECT["classifiers"])))
    assert claimed == {minor for minor, passed in tried.items() if all(passed)}
    assert f">={min(claimed, key=lambda name: int(name[2:]))}" == PROJECT["requires-python"]


def test_the_oldest_versions_of_the_matrix_are_those_that_are_allowed() -> None:
    floors = dict(each.removesuffix(".*").split("==") for each in matrix.floors())
    assert matrix.floor_of("cohere>=5") == "cohere==5.0.*"
    for cell in CELLS:
        if cell.versions == "oldest":
            for name in ("qdrant-client", "langchain-core", "llama-index-core", "qdrant-edge-py", "pydantic"):
                assert cell.installed[name].startswith(f"{floors[name]}."), name


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)]+)\.html\)", (DOCS / "llms.txt").read_text("utf-8")))
def test_llms_txt_leads_to_pages(target: str) -> None:
    assert (DOCS / f"{target}.md").exists() or target == "reference/index"


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md", "CHANGELOG.md"])
def test_links_within_the_repository_lead_somewhere(document: str) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#\s]+)", (ROOT / document).read_text("utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_command_of_a_release_leaves_no_link_in_the_readme_that_pypi_would_not_follow() -> None:
    [(pattern, made)] = re.findall(r'sed -i -E "s#(.+?)#(.+?)#g" README\.md', (DOCS / "releasing.md").read_text("utf-8"))
    address = made.replace("${REPOSITORY}", "https://git.example/us").replace("${TAG}", "v1.2.3")
    built = re.sub(pattern, address, (ROOT / "README.md").read_text("utf-8"))
    assert "[all commands](https://git.example/us/blob/v1.2.3/docs/cli.md)" in built
    assert re.findall(r"\]\((?!https?://)[^)]*\)", built) == []


def test_the_workflow_runs_what_a_change_has_to_pass() -> None:
    workflow = (ROOT / ".github" / "workflows" / "check.yml").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text("utf-8"), re.M))
    named = {target for line in re.findall(r"- run: make (.+)", workflow) for target in line.split()}
    assert {"lint", "test", "docs", "matrix"} <= named <= targets
