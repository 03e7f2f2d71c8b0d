"""Strategy files with mistakes: the message says what is wrong, and on which line."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from qdrant_client import models

from qdrant_rerank import (
    Coefficients,
    Formula,
    Fusion,
    Nearest,
    StrategyError,
    field,
    from_json,
    load,
    save,
    score,
    to_json,
    when,
)
from qdrant_rerank._internals import line_of, parse_json
from qdrant_rerank.errors import FormatError
from tests.support import refused

WRONG: dict[str, tuple[str, int | None, tuple[str, ...]]] = {
    "not JSON": ('{\n"kind": "nearest",\n}', 3, ("not JSON:", "column")),
    "no text": ("", 1, ("not JSON: Expecting value (column 1)",)),
    "a key that there isn't": ('{"kind": "nearest",\n "limits": 5}', 2, ("nearest has no 'limits'", "did you mean 'limit'?")),
    "a key like no other": ('{"kind": "nearest",\n "zzz": 5}', 2, ("nearest has no 'zzz'; it has candidates, limit, filter",)),
    "an unknown kind": (
        '{"kind": "nearst"}',
        1,
        ("unknown kind of strategy 'nearst'", "mmr, nearest", "did you mean 'nearest'?"),
    ),
    "no kind": ('{\n"using": "dense"}', 1, ('it has no "kind"', "what strategy it is", "mmr, nearest")),
    "a kind that is a number": ('{\n"kind": 5}', 2, ("unknown kind of strategy 5",)),
    "a list": ("[1]", 1, ("expected a strategy, an object with a kind, got [1]",)),
    "a text": ('"nearest"', 1, ('got "nearest"',)),
    "a limit of text": ('{"kind": "nearest",\n\n "limit": "5"}', 3, ("valid integer", 'got "5" (at limit)')),
    "a limit of true": ('{"kind": "nearest", "limit": true}', 1, ("valid integer", "got true")),
    "a limit of 0": ('{\n"kind": "nearest", "limit": 0}', 1, ("limit of Nearest must be a whole number of at least 1",)),
    "a threshold of NaN": ('{"kind": "nearest",\n"score_threshold": NaN}', 2, ("not JSON: NaN is no number of JSON's",)),
    "an infinite threshold": (
        '{"kind": "nearest",\n"name": "1e999",\n"score_threshold": 1e999}',
        3,
        ("not JSON: 1e999 is beyond what a number can be",),
    ),
    "weights of text": ('{"kind": "fusion",\n"weights": [1,\n"a"]}', 3, ("valid number", "(at weights[1])")),
    "candidates that are no list": ('{"kind": "fusion",\n"candidates": {"kind": "nearest"}}', 2, ("expected a list",)),
    "a candidate that is an expression": (
        '{"kind": "fusion", "candidates": [\n{"kind": "nearest"},\n{"kind": "score"}]}',
        3,
        ("unknown kind of strategy 'score'", "(at candidates[1].kind)"),
    ),
    "a mistake three levels down": (
        '{"kind": "mmr", "candidates": [{"kind": "fusion", "candidates": '
        '[{"kind": "nearest"},\n{"kind": "nearest",\n"usign": "a"}]}]}',
        3,
        ("nearest has no 'usign'", "did you mean 'using'?", "(at candidates[0].candidates[1].usign)"),
    ),
    "a formula without an expression": ('{\n"kind": "formula"}', 1, ("formula lacks 'expression'",)),
    "an expression of null": ('{"kind": "formula",\n"expression": null}', 2, ("expression, an object with a kind, got null",)),
    "an expression with a typo": (
        '{"kind": "formula",\n"expression": "scor()"}',
        2,
        ("unknown function 'scor'", "did you mean 'score'?"),
    ),
    "an expression with an unknown node": (
        '{"kind": "formula", "expression": {"kind": "sum", "terms": [1,\n{"kind": "feild", "key": "a"}]}}',
        2,
        ("unknown kind of expression 'feild'", "did you mean 'field'?", "(at expression.terms[1].kind)"),
    ),
    "a node with a wrong value": (
        '{"kind": "formula", "expression": {"kind": "field",\n"key": "a",\n"default": "x"}}',
        3,
        ("valid number", "(at expression.default)"),
    ),
    "a typo in a filter": (
        '{"kind": "nearest",\n"filter": {"must": [\n{"key": "a",\n"mtch": {"value": 1}}]}}',
        4,
        ("Extra inputs are not permitted", "(at filter.must[0].mtch)"),
    ),
    "two weights for one candidate": (
        '{"kind": "mmr", "candidates": [\n{"kind": "fusion", "weights": [1, 2], "candidates": [{"kind": "nearest"}]}]}',
        2,
        ("2 weights for 1 candidates", "(at candidates[0])"),
    ),
    "a number of thousands of digits": (
        '{"kind": "nearest", "limit": ' + "9" * 5000 + "}",
        1,
        ("not JSON: a number of 5,000 digits",),
    ),
    "thousands of brackets": ("\n" + "[" * 100_000, 2, ("more than 200 brackets within each other",)),
    "hundreds of nested candidates": (
        '{"kind": "nearest", "candidates": [\n' * 150 + '{"kind": "nearest"}' + "]}" * 150,
        101,
        ("more than 200 brackets within each other",),
    ),
    "a key twice": (
        '{"kind": "nearest",\n"filter": {"must": [{"key": "filter", "match": {"value": "A"}}]},\n"filter": null}',
        3,
        ("the key 'filter' is there twice",),
    ),
    "half an emoji": ('{"kind": "nearest",\n\n"using": "\\ud83d"}', 3, ("'\\ud83d' is half a character",)),
    "a kind of a megabyte": ('{"kind": "' + "x" * 1_000_000 + '"}', 1, ("unknown kind", "(1,000,002 characters)")),
    "a class that is none of Qdrant's": (
        '{"kind": "formula",\n"expression": "models.BaseModel()"}',
        2,
        ("models.BaseModel has no place in an expression",),
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_mistake_is_explained_and_located(what: str, tmp_path: Path) -> None:
    text, line, parts = WRONG[what]
    with refused(FormatError, *parts) as caught:
        from_json(text)
    assert caught.value.line == line  # type: ignore[attr-defined]
    file = tmp_path / "ranker.json"
    file.write_text(text)
    with refused(FormatError, f"{file}:{line}: " if line else f"{file}: ", *parts):
        load(file)


def test_half_a_character_is_refused_however_it_is_written() -> None:
    with refused(FormatError, "'\\ud83d' is half a character") as caught:
        from_json('{"kind": "nearest",\n\n"using": "\ud83d"}')
    assert caught.value.line == 3  # type: ignore[attr-defined]
    assert from_json('{"kind": "nearest", "using": "\\ud83d\\ude00 \\\\ud83d"}') == Nearest("\U0001f600 \\ud83d")


def test_what_is_wide_is_not_deep_and_large_numbers_are_numbers() -> None:
    strategy = Fusion.rrf().over(*[Nearest(name=f"]{number}", score_threshold=1.5e299) for number in range(300)])
    assert from_json(to_json(strategy)) == strategy
    assert parse_json(f'{{"a": {10**250}, "b": -1.5e300, "c": 1.0e-400, "d": "{"9" * 400}"}}')["a"] == 10**250


def test_what_is_nested_too_deep_to_be_read_again_is_not_written() -> None:
    strategy = Nearest()
    for _ in range(99):
        strategy = Nearest().over(strategy)
    assert from_json(to_json(strategy)) == strategy  # 199 brackets: as deep as can be
    with refused(StrategyError, "Nearest is nested too deep to be read again as JSON: more than 200 brackets"):
        to_json(Nearest().over(strategy))
    for _ in range(900):
        strategy = Nearest().over(strategy)
    with refused(StrategyError, "nested too deep"):
        to_json(strategy)


def test_a_file_too_large_to_be_read_at_once_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "ranker.json").open("wb") as file:
        file.truncate(2**40)  # a hole, which takes no room
    with refused(FormatError, "ranker.json: the file has 1,048,576 MB, more than the 512"):
        load(tmp_path / "ranker.json")


def test_a_file_of_another_encoding_is_refused_and_a_mark_at_its_beginning_is_not(tmp_path: Path) -> None:
    file = tmp_path / "ranker.json"
    file.write_bytes('{"kind": "nearest", "using": "größe"}'.encode("latin-1"))
    with refused(FormatError, f"{file}:1: not UTF-8 text"):
        load(file)
    file.write_bytes('{"kind": "nearest", "using": "größe"}'.encode("utf-8-sig"))
    assert load(file) == Nearest("größe")


def test_a_missing_file_stays_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.json")


def test_a_format_error_survives_pickling() -> None:
    again = pickle.loads(pickle.dumps(FormatError("wrong", "a.json", 3)))
    assert (str(again), again.path, again.line) == ("a.json:3: wrong", "a.json", 3)
    assert str(FormatError("wrong", "a.json")) == "a.json: wrong"


def test_a_saved_strategy_is_loaded_alike(tmp_path: Path) -> None:
    strategy = Formula(0.8 * score() + field("größe", default=3)).over(Nearest("dense", limit=5))
    save(strategy, tmp_path / "ranker.json")
    assert load(tmp_path / "ranker.json") == strategy
    assert "größe" in (tmp_path / "ranker.json").read_text("utf-8")


@pytest.mark.parametrize("version", ["2", '"1.0"', "null", "true"])
def test_files_of_another_format_are_refused_and_those_that_do_not_say_are_read(tmp_path: Path, version: str) -> None:
    path = tmp_path / "strategy.json"
    save(Nearest("dense"), path)
    assert path.read_text().startswith('{\n  "format_version": 1,')
    path.write_text(to_json(Nearest("dense")))
    assert load(path) == Nearest("dense")
    coefficients = tmp_path / "c.json"
    Coefficients(1, 0, 0).save(coefficients)
    assert coefficients.read_text().startswith('{\n  "format_version": 1,')
    for file, read in ((path, load), (coefficients, Coefficients.load)):
        file.write_text(
            file.read_text().replace("{", '{\n"format_version": ' + version + ",", 1).replace('  "format_version": 1,', "")
        )
        with refused(FormatError, f"{file}:2: format_version: this qdrant-rerank reads files of format version 1", "got "):
            read(file)


def test_only_what_differs_from_the_defaults_is_written() -> None:
    assert to_json(Fusion.rrf(k=3).over(Nearest("a")), indent=None) == (
        '{"kind": "fusion", "k": 3, "candidates": [{"kind": "nearest", "using": "a"}]}'
    )


def test_an_expression_may_be_written_as_text() -> None:
    written = '{"kind": "formula", "expression": "0.8 * score() + field(\'rating\', 3.0)"}'
    assert from_json(written) == Formula(0.8 * score() + field("rating", 3.0))


LINES = '{"a": [1,\n  {"b": {},\n   "c\\"d": "}"}],\n "e": 5}'


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 1),
        (("a",), 1),
        (("a", 1), 2),
        (("a", 1, "b"), 2),
        (("a", 1, 'c"d'), 3),
        (("e",), 4),
        (("a", 7), 1),
        (("e", "f"), 4),
    ],
)
def test_a_path_leads_to_its_line(path: tuple[str | int, ...], line: int) -> None:
    assert line_of(LINES, path) == line


@pytest.mark.parametrize("id", ["5c56c793-69f3-4fbf-87e6-c4bf54c28c26", 3])
def test_ids_in_conditions_come_back_as_they_were_written(id: int | str) -> None:
    these = models.HasIdCondition(has_id=[id])
    for strategy in (
        Nearest(filter=models.Filter(must=[models.Filter(should=[these])])),
        Formula(score() + when(these, 5.0)).over(Nearest()),
    ):
        assert from_json(to_json(strategy)) == strategy
