"""Bad input: each gets one message that says what is wrong, what there is and what to do, and no traceback."""

from __future__ import annotations

import errno
import gc
import json
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from qdrant_client import QdrantClient
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import UnexpectedResponse

from qdrant_rerank._internals import Place, describe_failures
from qdrant_rerank.cli._internals import message_of
from tests.cli.support import fails, run


def test_a_folder_and_a_server_exclude_each_other(db: Path) -> None:
    assert "--path and --url exclude each other" in fails("search", "x", "--path", db, "--url", "http://localhost:6333")
    assert "--edge and --path exclude each other" in fails("search", "x", "--path", db, "--edge", db)


def test_neither_folder_nor_server_is_an_error_that_names_both() -> None:
    for command in (("search", "x"), ("plan",), ("index", __file__)):
        assert "which Qdrant? --edge DIR or --path DIR for a folder on disk, --url URL for a server" in fails(*command)


def test_a_folder_wins_over_the_environments_server(db: Path) -> None:
    assert run("search", "ferry", "--path", db, env={"QDRANT_URL": "http://127.0.0.1:1"}).code == 0
    assert "no answer from Qdrant at http://127.0.0.1:1" in fails("search", "ferry", env={"QDRANT_URL": "http://127.0.0.1:1"})


def test_grpc_is_for_servers(db: Path) -> None:
    assert "--prefer-grpc has no effect here: that is for servers" in fails("search", "x", "--path", db, "--prefer-grpc")


def test_searching_makes_no_folder(tmp_path: Path) -> None:
    assert f"{tmp_path / 'db'} doesn't exist" in fails("search", "x", "--path", tmp_path / "db")
    assert f"{tmp_path} holds no Qdrant collections" in fails("search", "x", "--path", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # qdrant-client leaves its lock file open
def test_a_folder_in_use_says_so(db: Path) -> None:
    client = QdrantClient(path=str(db))
    message = fails("search", "x", "--path", db)
    assert message.startswith(f"error: {db} can't be opened: ")
    assert "already accessed by another instance" in message
    client.close()
    gc.collect()


def test_a_missing_collection_lists_those_there_are(db: Path) -> None:
    message = fails("search", "x", "--path", db, "--collection", "dosc")
    assert message == "error: there is no collection 'dosc': did you mean 'docs'? (there are: docs)\n"


def test_a_typo_in_a_strategy_file_shows_path_and_line(db: Path, tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    file.write_text('{\n  "kind": "fusion",\n  "candidates": [\n    {"kind": "nearest", "usign": "dense"}\n  ]\n}\n')
    message = fails("search", "x", "--path", db, "--strategy", file)
    assert f"{file}:4: nearest has no 'usign'" in message
    assert "did you mean 'using'?" in message


def test_an_unknown_kind_and_broken_json_in_a_strategy_file_show_the_line(db: Path, tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    file.write_text('{\n  "kind": "fusoin"\n}')
    assert f"{file}:2: unknown kind of strategy 'fusoin'" in fails("search", "x", "--path", db, "--strategy", file)
    file.write_text('{\n  "kind": "fusion",\n}')
    assert f"{file}:3: not JSON" in fails("search", "x", "--path", db, "--strategy", file)
    assert f"{tmp_path / 'none'}: No such file or directory" in fails("plan", "--path", db, "-s", tmp_path / "none")
    file.write_bytes(b"\xff\xfe")
    assert "UTF-8" in fails("plan", "--path", db, "-s", file)


def test_a_formula_with_a_typo_points_at_it(db: Path) -> None:
    assert "unknown function 'scor' at column 5: did you mean 'score'?" in fails(
        "search", "x", "--path", db, "--formula", "0.8*scor()"
    )


def test_a_formula_over_a_key_that_is_missing_somewhere_names_it(db: Path) -> None:
    message = fails("search", "night", "--path", db, "--formula", "score() + field('rating')")
    assert "the formula reads 'rating' without a default" in message


def test_an_unknown_vector_lists_those_there_are(db: Path) -> None:
    message = fails("search", "x", "--path", db, "--using", "dens")
    assert "no vector named 'dens'; the collection 'docs' has 'dense' (dense 512-d, Cosine)" in message
    assert "did you mean 'dense'?" in message


def test_several_problems_are_listed(db: Path, tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    file.write_text('{"kind": "fusion", "candidates": [{"kind": "nearest", "using": "a"}, {"kind": "nearest", "using": "b"}]}')
    message = fails("plan", "--path", db, "--strategy", file)
    assert message.startswith("error: several problems:\n  - no vector named 'a'")
    assert "\n  - no vector named 'b'" in message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"must": [{"key": "rating"', "--filter:1 isn't JSON: Expecting ',' delimiter at column 27"),
        ('{"must": [\n{"key": "town", "mach": 1}]}', "--filter:2 isn't a filter of Qdrant's: at must.0.mach: Extra inputs"),
        ('{"mst": []}', "--filter:1 isn't a filter of Qdrant's: at mst: Extra inputs are not permitted"),
        ("[]", "isn't a filter of Qdrant's: at the top"),
        ("", "--filter is empty: give a JSON object"),
        ("@/nowhere.json", "/nowhere.json: No such file or directory"),
        ('{"must": [],\n"must": []}', "--filter:2 isn't JSON: the key 'must' is there twice"),
        ("[" * 300, "--filter:1 isn't JSON: not JSON that can be read: more than 200 brackets within each other"),
    ],
)
def test_a_filter_that_is_none_shows_where_and_what_one_looks_like(db: Path, text: str, says: str) -> None:
    assert says in fails("search", "x", "--path", db, "--filter", text)


def test_a_file_that_is_no_text_is_refused(db: Path, tmp_path: Path) -> None:
    (tmp_path / "filter.json").write_bytes(b"\xff\xfe")
    file = tmp_path / "filter.json"
    assert f"{file}:1: not UTF-8 text" in fails("search", "x", "--path", db, "--filter", f"@{file}")


def test_features_must_be_an_object_of_values_that_the_strategy_reads(db: Path) -> None:
    assert "--params must be a JSON object, name → value" in fails("search", "x", "--path", db, "--params", "[1]")
    for text, says in (("1e400", "is beyond what a number can be"), ("NaN", "NaN is no number of JSON's")):
        assert says in fails("search", "x", "--path", db, "--params", f'{{"weight": {text}}}')
    formula = ("--formula", "score() + param('weight')")
    message = fails("search", "x", "--path", db, *formula, "--params", '{"wieght": 1}')
    assert "nothing in the strategy reads 'wieght': did you mean 'weight'? (it reads 'weight')" in message
    assert "(it reads no such values)" in fails("plan", "--path", db, "--params", '{"weight": 1}')


def test_a_value_that_the_formula_lacks_names_the_option(db: Path) -> None:
    message = fails("search", "ferry", "--path", db, "--formula", "score() + param('weight')")
    assert "the formula needs the request-time value 'weight'" in message
    assert message.endswith("on the command line: --params '{\"NAME\": …}'\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--hybrid", "--formula", "score()"), "leave out --hybrid, as a formula searches the vectors whose scores it reads"),
        (("--hybrid", "--using", "bm25"), "--dense-vector and --sparse-vector choose for --hybrid"),
        (("--strategy", "s.json", "--mmr", 0.1, "--limit", 7), "--strategy excludes --mmr, --limit"),
        (("--strategy", "s.json", "--mmr", 0), "--strategy excludes --mmr"),
        (("--formula", "score()", "--rescore", "dense"), "--rescore would replace the scores of --formula"),
        (("--fusion", "rrf"), "--fusion says how --hybrid fuses: add --hybrid"),
        (("--hybrid", "--fusion", "rff"), "--fusion is rrf or dbsf, got 'rff'"),
        (("--limit", 50), "--limit is for candidates, and a plain search has none"),
        (("--sparse-vector", "bm25"), "--sparse-vector bm25 changes nothing here"),
        (("--using", "bm25", "--formula", "score('dense')"), "--using bm25 changes nothing here"),
        (("--mmr", 2), "the diversity of Mmr must be between 0 and 1, got 2.0"),
        (("--hybrid", "--limit", 0), "must be a whole number of at least 1, got 0"),
        (("-k", 0), "limit must be a whole number of at least 1, got 0"),
        (("--hybrid", "--limit", 2), "raise the limit of"),
        (("--dense", "hsh"), "--dense hsh: no such model: did you mean 'hash'?"),
        (("--dense", "bm25"), "--dense bm25: no such model"),
        (("--rescore", "late"), "no vector named 'late'"),
    ],
)
def test_options_that_make_no_sense_are_refused(db: Path, arguments: tuple[object, ...], says: str) -> None:
    assert says in fails("search", "ferry", "--path", db, *arguments)


def test_hybrid_without_a_dense_vector_says_what_there_is(corpus: Path, tmp_path: Path) -> None:
    assert run("index", corpus, "--path", tmp_path / "db").code == 0
    message = fails("search", "ferry", "--path", tmp_path / "db", "--hybrid")
    assert message == "error: --hybrid needs a dense vector: the collection 'docs' has 'bm25' (sparse, IDF)\n"


def test_a_collection_that_does_not_say_what_made_it_needs_to_be_told(tmp_path: Path) -> None:
    from tests.support import fill_toy

    client = QdrantClient(path=str(tmp_path / "db"))
    fill_toy(client)
    client.close()
    message = fails("search", "ferry", "--path", tmp_path / "db")
    assert "the collection 'toy' doesn't say what made its vector 'dense' (dense 4-d, Cosine): give --dense MODEL" in message
    wrong = fails("search", "ferry", "--path", tmp_path / "db", "--dense", "hash")
    assert "the vector 'dense' has 4 dimensions, the query's has 512" in wrong


def test_an_empty_question_is_refused(db: Path) -> None:
    assert "the query's text is empty" in fails("search", " ", "--path", db)


def test_debug_adds_the_traceback_and_keeps_the_exit_code(db: Path) -> None:
    ran = run("search", "x", "--path", db, "--collection", "dosc", "--debug")
    assert ran.code == 2
    assert "Traceback (most recent call last)" in ran.err
    assert ran.err.splitlines()[-1].startswith("error: there is no collection 'dosc'")


def test_an_error_that_nobody_foresaw_is_named_and_ends_with_1(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("qdrant_rerank.cli.search.print_table", broken)
    message = fails("search", "ferry", "--path", db, code=1)
    assert message == "error: unexpected ZeroDivisionError: division by zero\n--debug shows where it came from\n"


def test_an_interruption_ends_quietly(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("qdrant_rerank.cli.search.print_table", interrupted)
    ran = run("search", "ferry", "--path", db)
    assert (ran.code, ran.err) == (130, "interrupted\n")


def test_a_misspelt_command_or_option_is_named_and_the_right_option_suggested() -> None:
    assert "No such command 'serch'" in run("serch").err
    assert "--hybrid" in run("search", "x", "--hybird").err


def test_a_model_that_fastembed_does_not_have_is_refused_with_the_nearest(db: Path) -> None:
    message = fails("search", "ferry", "--path", db, "--dense", "sentence-transformers/all-MiniLM-L6-v22")
    assert "did you mean 'sentence-transformers/all-MiniLM-L6-v2'?" in message


def test_a_reader_that_left_is_no_error_of_ours(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr("qdrant_rerank.cli.search.print_table", gone)
    ran = run("search", "ferry", "--path", db)
    assert (ran.code, ran.err) == (1, "")


class GrpcError(Exception):
    """What grpc raises: the status and what the server says are behind methods."""

    def __init__(self, name: str) -> None:
        self._code = SimpleNamespace(name=name)

    def code(self) -> SimpleNamespace:
        return self._code

    def details(self) -> str:
        return "what the server says"


def test_errors_of_grpc_are_told_as_those_of_http_are() -> None:
    for refusal in ("UNAUTHENTICATED", "PERMISSION_DENIED"):
        message = message_of(GrpcError(refusal)) or ""
        assert "QDRANT_API_KEY" in message
        assert f"Qdrant answers {refusal}: what the server says" in message
    assert message_of(GrpcError("INTERNAL")) == "Qdrant answers INTERNAL: what the server says"


def test_the_server_s_reason_and_the_notes_are_shown_in_full_without_what_is_for_python() -> None:
    words = "Forbidden: Access to collection docs is required, " + "and so on " * 40
    error = UnexpectedResponse(403, "Forbidden", json.dumps({"status": {"error": words}}).encode(), httpx.Headers())
    with pytest.raises(UnexpectedResponse), describe_failures(Place("server", "http://there:6333", "docs"), "searching"):
        raise error
    lines = (message_of(error) or "").splitlines()
    assert lines[0].startswith("Qdrant refuses access: set the environment variable QDRANT_API_KEY")
    assert lines[1] == f"Qdrant answers 403: {words}"
    assert lines[2:] == ["while searching 'docs' at http://there:6333", "the key lacks this right: use one that has it"]
    limit = ResourceExhaustedResponse("Rate limiting exceeded", 7)
    with pytest.raises(ResourceExhaustedResponse), describe_failures(Place("server", "", "docs"), "searching"):
        raise limit
    assert (message_of(limit) or "").splitlines() == [
        "Rate limiting exceeded",
        "while searching 'docs'",
        "the collection's rate limit is reached: ask again after 7 s, or let --retries N do so",
    ]
    assert message_of(ValueError("no such thing")) is None


def test_an_error_that_nobody_foresaw_is_shown_with_its_notes(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        error = ZeroDivisionError("division by zero")
        error.add_note("while counting")
        raise error

    monkeypatch.setattr("qdrant_rerank.cli.search.print_table", broken)
    assert "ZeroDivisionError: division by zero\nwhile counting\n--debug shows" in fails(
        "search", "ferry", "--path", db, code=1
    )


def test_a_folder_has_no_server_that_embeds(corpus: Path, db: Path, tmp_path: Path) -> None:
    message = "--dense server:acme/m:4: there is no server that could embed; that needs --url"
    assert message in fails("index", corpus, "--path", tmp_path / "db", "--dense", "server:acme/m:4")
    assert message in fails("search", "ferry", "--path", db, "--dense", "server:acme/m:4")
