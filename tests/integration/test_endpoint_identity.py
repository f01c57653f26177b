"""An embedding endpoint at another address, with other vectors, or of another size: what is stored stays where it is its own."""

from __future__ import annotations

import asyncio
import json
import logging
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fake_endpoint import FakeEndpoint, fake_endpoint
from mcp_memory.cli.app import app
from mcp_memory.config import Settings
from mcp_memory.container import Container, open_container
from mcp_memory.domain.errors import EmbeddingError, ModelChangedError
from mcp_memory.memories.requests import NewMemory, SearchRequest
from qdrant_backends import alias, server_url

COUNT = 20


@pytest.fixture
def endpoint() -> Iterator[FakeEndpoint]:
    with fake_endpoint() as found:
        yield found


class Service:
    """A service that starts with an endpoint's URL, and the commands that are typed in its environment."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, kind: str) -> None:
        kinds: dict[str, Callable[[], dict[str, str]]] = {
            "embedded": dict,
            "server": lambda: {"MCP_QDRANT_URL": server_url(), "MCP_QDRANT_COLLECTION": alias(folder)},
            "sqlite_vec": lambda: {"MCP_MEMORY_STORAGE_BACKEND": "sqlite_vec"},
        }
        variables = kinds[kind]() | {
            "MCP_MEMORY_BASE_DIR": str(folder / "data"),
            "MCP_EXTERNAL_EMBEDDING_MODEL": "small",
            "MCP_QDRANT_DISK_RESERVE_BYTES": "0",
            "MCP_SEMANTIC_DEDUP_ENABLED": "false",
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        self._monkeypatch = monkeypatch

    def stores(self, url: str, count: int) -> int:
        """How many memories there are after it has started and stored so many more."""

        async def store(container: Container) -> int:
            items = [NewMemory(f"note {number} about gardens") for number in range(count)]
            await container.memories.store_many(items)
            return await container.memories.count()

        return asyncio.run(self._runs(url, store))

    def finds(self, url: str, query: str) -> str:
        async def search(container: Container) -> str:
            answer = await container.memories.search(SearchRequest(query=query))
            return answer.hits[0].memory.content

        return asyncio.run(self._runs(url, search))

    async def _runs(self, url: str, work: Callable[[Container], object]) -> object:
        self._monkeypatch.setenv("MCP_EXTERNAL_EMBEDDING_URL", url)
        async with open_container(Settings()) as container:
            return await work(container)

    def types(self, line: str) -> tuple[int, str]:
        program, *arguments = shlex.split(line)
        assert program == "memory"
        done = CliRunner().invoke(app, arguments)
        return done.exit_code, done.output

    def answers(self, line: str, *, code: int = 0) -> Any:
        """What is on stdout, which is one JSON document."""
        done = CliRunner().invoke(app, shlex.split(line)[1:])
        assert done.exit_code == code, done.output
        return json.loads(done.stdout)


@pytest.fixture(params=["embedded", "server", "sqlite_vec"])
def service(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Service:
    return Service(monkeypatch, tmp_path, request.param)


WITH_SUCCESSION = pytest.mark.parametrize("service", ["embedded", "server"], indirect=True)


def printed_command(message: str) -> str:
    """The one that needs no clone."""
    return next(line.strip() for line in message.splitlines() if line.strip().startswith("memory migrate model"))


def test_the_same_vectors_at_another_address_are_kept_for_two_calls(
    service: Service, endpoint: FakeEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    service.stores(endpoint.url(), COUNT)
    endpoint.texts.clear()

    with caplog.at_level(logging.INFO):
        assert service.stores(endpoint.url("localhost"), 0) == COUNT

    assert [len(texts) for texts in endpoint.texts] == [1, 16], "the vectors' size, then a sample"
    assert "the endpoint of small gives the vectors that are stored: they are kept" in caplog.text
    assert service.stores(endpoint.url("localhost"), COUNT + 1) == COUNT + 1, "written beside those that were there"
    assert service.finds(endpoint.url(), "note 20 about gardens") == "note 20 about gardens", "the old address goes on"


@WITH_SUCCESSION
def test_the_printed_command_adopts_them_too(
    service: Service, endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.stores(endpoint.url(), COUNT)
    endpoint.texts.clear()
    monkeypatch.setenv("MCP_EXTERNAL_EMBEDDING_URL", endpoint.url("localhost"))

    code, said = service.types("memory migrate model --old-model small --new-model small")

    assert (code, len(endpoint.texts)) == (0, 2), said
    assert "nothing is embedded anew" in said


@pytest.mark.parametrize("service", ["embedded"], indirect=True)
def test_every_migrate_command_answers_in_json(
    service: Service, endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    service.stores(endpoint.url(), COUNT)
    monkeypatch.setenv("MCP_EXTERNAL_EMBEDDING_URL", endpoint.url())
    monkeypatch.delenv("MCP_EXTERNAL_EMBEDDING_MODEL")
    change = "memory migrate model --old-model small --new-model large"

    dry = service.answers(f"{change} --dry-run --json")
    changed = service.answers(f"{change} --json")
    listed = service.answers("memory migrate prune --json")
    back = service.answers(f"memory migrate rollback --backup-collection {changed['backup']} --json")
    pruned = service.answers(f"memory migrate prune {back['kept_as']} -y --json")
    copied = service.answers(f"memory migrate storage --target {tmp_path / 'copy'} --json")
    refused = service.answers("memory migrate rollback --backup-collection nothing --json", code=1)
    nothing = service.answers(f"memory migrate sqlite --source {tmp_path / 'nothing.db'} --json", code=2)

    assert (dry["dry_run"], dry["memories"]) == (True, COUNT)
    assert (changed["memories"], changed["old_model"], changed["model"]) == (COUNT, "small", "large")
    assert [one["name"] for one in listed["backups"]] == [changed["backup"]]
    assert back["answers"] == changed["backup"]
    assert pruned["deleted"] == [back["kept_as"]]
    assert (copied["completed"], copied["migrated"]) == (True, COUNT)
    assert "There is no backup 'nothing'" in refused["error"]["message"]
    assert "There is nothing at" in nothing["error"]["message"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_other_vectors_under_the_same_name_are_refused_as_the_guide_says(
    service: Service, endpoint: FakeEndpoint, host: str
) -> None:
    service.stores(endpoint.url(), COUNT)
    endpoint.model = "two"

    with pytest.raises(ModelChangedError) as refused:
        service.stores(endpoint.url(host), 0)

    assert refused.value.message.startswith(
        "Embedding model changed: small → small\nVector dimensions: 16 → 16\n\n"
        "REQUIRED ACTION: Migrate existing memories to new model.\nRun:\n"
    )


@pytest.mark.parametrize(
    ("service", "host", "model", "dimensions"),
    [
        ("embedded", "localhost", "two", 16),
        ("embedded", "127.0.0.1", "two", 16),
        ("embedded", "127.0.0.1", "one", 24),
        ("server", "127.0.0.1", "two", 16),
        ("server", "127.0.0.1", "two", 24),
    ],
    indirect=["service"],
)
def test_the_required_action_works_as_printed(
    service: Service, endpoint: FakeEndpoint, host: str, model: str, dimensions: int
) -> None:
    service.stores(endpoint.url(), COUNT)
    endpoint.model, endpoint.dimensions = model, dimensions
    with pytest.raises(ModelChangedError) as refused:
        service.stores(endpoint.url(host), 0)
    assert f"16 → {dimensions}" in refused.value.message

    code, said = service.types(printed_command(refused.value.message))

    assert code == 0, said
    assert f"Re-embedding complete! {COUNT}/{COUNT} (100%)" in said
    assert service.stores(endpoint.url(host), COUNT + 1) == COUNT + 1
    assert service.finds(endpoint.url(host), "note 20 about gardens") == "note 20 about gardens"
    endpoint.model, endpoint.dimensions = "one", 16
    way_back = next(line for line in said.splitlines() if line.startswith("To go back: ")).removeprefix("To go back: ")
    code, said = service.types(way_back)
    assert code == 0, said
    assert service.stores(endpoint.url(host), 0) == COUNT


def test_an_endpoint_that_fails_while_it_is_compared_changes_nothing(service: Service, endpoint: FakeEndpoint) -> None:
    service.stores(endpoint.url(), COUNT)
    endpoint.texts.clear()
    endpoint.refuses_after = 1

    with pytest.raises(EmbeddingError, match="no model is loaded"):
        service.stores(endpoint.url("localhost"), 0)

    endpoint.refuses_after = None
    assert service.stores(endpoint.url("localhost"), 0) == COUNT


def test_an_empty_store_takes_any_vectors_of_its_size_without_a_call(service: Service, endpoint: FakeEndpoint) -> None:
    service.stores(endpoint.url(), 0)
    endpoint.texts.clear()
    endpoint.model = "two"

    assert service.stores(endpoint.url("localhost"), 0) == 0
    assert [len(texts) for texts in endpoint.texts] == [1]
    assert service.stores(endpoint.url("localhost"), 2) == 2


def test_another_name_is_another_model_whatever_its_vectors(
    service: Service, endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.stores(endpoint.url(), COUNT)
    monkeypatch.setenv("MCP_EXTERNAL_EMBEDDING_MODEL", "large")
    with pytest.raises(ModelChangedError, match="small → large"):
        service.stores(endpoint.url(), 0)
