"""Fixtures and options for all tests; helpers that are plain functions are in `tests.support`, engines in `tests.engines`."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings
from qdrant_client import QdrantClient

from qdrant_rerank import Executor
from tests import engines
from tests.support import COLLECTION, encoders, fill_toy

settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("quick", deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])  # doesn't shrink
settings.load_profile("ci" if os.environ.get("CI") else "local")

GOLDENS = Path(__file__).parent / "goldens"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-goldens",
        action="store_true",
        help="write tests/goldens/ anew from what the code does now instead of comparing; read the diff before committing",
    )
    parser.addoption(
        "--engine",
        choices=list(engines.ENGINES),
        help="the engine of the tests' clients; those of servers need QDRANT_URL (and QDRANT_GRPC_PORT, QDRANT_API_KEY)",
    )


def pytest_configure(config: pytest.Config) -> None:
    name = config.getoption("--engine")
    if name is not None:
        try:
            engines.use(engines.parse(name))
        except ValueError as error:
            raise pytest.UsageError(str(error)) from None
    if engines.current().shards > 1:  # what changes with their number is told, and tested in tests/core/test_shards.py
        for told in ("each of the . shards", ".* below another stage runs in each of"):
            config.addinivalue_line("filterwarnings", f"ignore:{told}:qdrant_rerank.PlanWarning")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """In an ordinary run some modules run on both engines in process."""
    if metafunc.config.getoption("--engine") is None and metafunc.module.__name__ in engines.BOTH:
        metafunc.parametrize("engine", ["local", "edge"], indirect=True, scope="module")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that are about other engines than the run's; the summary says which, and why."""
    left: list[pytest.Item] = []
    for item in items:
        chosen = getattr(item, "callspec", None)
        name = chosen.params.get("engine") if chosen is not None else None
        kind = (engines.ENGINES[name] if isinstance(name, str) and name in engines.ENGINES else engines.current()).kind
        for marker in item.iter_markers("engines"):
            if kind not in marker.args:
                left.append(item)
                _left_out[marker.kwargs["reason"]] += 1
                break
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in set(left)]


_left_out: Counter[str] = Counter()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    engines.clean_all()
    if hasattr(session.config, "workeroutput"):  # this is one of several processes: the first one writes the summary
        session.config.workeroutput["left_out"] = dict(_left_out)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Each process leaves out the same tests."""
    _left_out.update(Counter(getattr(node, "workeroutput", {}).get("left_out", {})) - _left_out)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what didn't run, and why."""
    skipped: Counter[str] = Counter(str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", []))
    if terminalreporter.config.getoption("--engine") is not None:
        terminalreporter.section(f"engine {engines.current().name}")
        for reason, count in [*sorted(_left_out.items()), *sorted(skipped.items())]:
            terminalreporter.line(f"left out {count}: {reason}")


@pytest.fixture(scope="module", autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[engines.Engine]:
    """The engine that the module's clients are of. Fixtures that outlive a test and open a client ask for it."""
    name = getattr(request, "param", None)
    before, place = engines.current() if name is None else engines.use(engines.parse(name)), engines.mark()
    yield engines.current()
    engines.clean_since(place)
    engines.use(before)


@pytest.fixture(autouse=True)
def _collections(engine: engines.Engine) -> Iterator[None]:
    """Removes the collections that a test makes: a server holds each of them open."""
    place = engines.mark()
    yield
    engines.clean_since(place)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, Any], None]:
    """Compares a JSON value with `tests/goldens/<name>.json`, or writes it there with `--update-goldens`."""
    update = request.config.getoption("--update-goldens")

    def check(name: str, value: Any) -> None:
        path = GOLDENS / f"{name}.json"
        if update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", "utf-8")
            return
        assert path.exists(), f"no golden {path}: run pytest with --update-goldens and read what it writes"
        assert value == json.loads(path.read_text("utf-8"))

    return check


@pytest.fixture(scope="module")
def toy(engine: engines.Engine) -> Iterator[QdrantClient]:
    """A client with the toy collection. Tests that change it make their own with `fill_toy`."""
    client = fill_toy(engines.open_client())
    yield client
    client.close()


@pytest.fixture(scope="module")
def executor(toy: QdrantClient) -> Executor:
    """An executor over the toy collection, with an encoder for each of its vectors."""
    return Executor(toy, COLLECTION, encoders=encoders())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI, where the data and models are fetched, a test that needs them must not skip."""
    report = yield
    if os.environ.get("CI") and report.skipped and item.get_closest_marker("data") is not None:
        report.outcome = "failed"
        report.longrepr = f"a test marked data must not skip in CI: {call.excinfo.value if call.excinfo else report.longrepr}"
    return report
