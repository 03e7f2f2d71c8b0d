"""The code in the documentation runs as it stands."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qdrant_rerank import Formula, Nearest, StrategyError, from_json, to_json
from qdrant_rerank.errors import FormatError
from qdrant_rerank.expressions import parse_expression

from . import worlds
from .blocks import blocks, untested


@pytest.mark.parametrize("name", ["langchain", "llama_index", "core"])
def test_the_readme_runs_and_each_block_defines_what_it_uses(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    options: dict[str, Any] = {}
    exec(compile(blocks("README.md")[name], f"README.md ({name})", "exec"), options)
    match name:
        case "langchain":
            assert len(options["docs"]) == 3
            assert capsys.readouterr().out.count(".\n") == 3
        case "llama_index":
            assert [node.text for node in options["nodes"]] == ["A bed by the station", "A ferry for bikes"]
        case _:
            assert "round trip" in capsys.readouterr().out
            assert abs(sum(term.value for term in options["reasons"][0].terms) - options["reasons"][0].score) < 1e-5


def test_every_python_block_of_the_readme_and_of_extending_is_run() -> None:
    assert untested("README.md") == 0
    assert untested("docs/extending.md") == 0


def test_extending_runs() -> None:
    options: dict[str, Any] = {**worlds.core(), "__name__": "extending"}
    exec(compile(blocks("docs/extending.md")["extending"], "docs/extending.md", "exec", dont_inherit=True), options)
    assert len(options["points"]) == 3
    assert all(point.score == pytest.approx(point.payload["price"] ** 3) for point in options["points"])
    cube = options["cubed"].expression
    assert repr(cube) == "cube(field('price', default=0.0))"
    assert parse_expression(repr(cube)) == cube
    formula = Formula(cube).over(Nearest("dense"))
    assert from_json(to_json(formula)) == formula
    assert from_json(json.dumps({"kind": "formula", "expression": repr(cube)})) == Formula(cube)
    with pytest.raises(FormatError, match="did you mean 'cube'"):
        from_json(json.dumps({"kind": "formula", "expression": {"kind": "cubed", "operand": 1}}))
    with pytest.raises(StrategyError, match=r"did you mean 'cube'.*there are .*, cube"):
        parse_expression("cubes(score())")
    with pytest.raises(StrategyError, match=f"no JSON form.*, {cube.kind}"):
        to_json(options["cubed"])  # its candidates are of a kind without a name
    assert options["encoders"].named["lengths"].encode_query("two words") == [2.0, 9.0]
    assert options["upper"]({"title": "a"}) == ("A", {"town": None})


def test_calls_runs(capsys: pytest.CaptureFixture[str]) -> None:
    from qdrant_client import QdrantClient, models

    client = QdrantClient(":memory:")
    client.create_collection("docs", models.VectorParams(size=4, distance=models.Distance.COSINE))
    client.upsert("docs", [models.PointStruct(id=1, vector=[1.0, 0.0, 0.0, 0.0], payload={"text": "the night train"})])
    assert untested("docs/calls.md") == 0
    exec(compile(blocks("docs/calls.md")["calls"], "docs/calls.md", "exec"), {"client": client})
    assert "the call's timeout of 0.2 s was over after 0." in capsys.readouterr().out
