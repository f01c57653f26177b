"""A wide deletion is put to a person where the host can ask one; other hosts are told to name the count."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import mcp_types as types
import pytest
from jsonschema import validate
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from integration.mcp_service import mcp_service
from mcp_memory.mcp.tools.delete import MEMORY_DELETE

pytestmark = pytest.mark.anyio
CALL = {"tags": ["scratch"]}


@dataclass
class Person:
    """Answers what is asked, and remembers it."""

    action: Literal["accept", "decline", "cancel"] = "accept"
    content: dict[str, Any] | None = field(default_factory=lambda: {"delete": True})
    asked: list[str] = field(default_factory=list)

    async def __call__(self, _context: object, params: types.ElicitRequestParams) -> types.ElicitResult:
        assert isinstance(params, types.ElicitRequestFormParams)
        assert set(params.requested_schema["properties"]) == {"delete"}
        self.asked.append(params.message)
        return types.ElicitResult(action=self.action, content=self.content if self.action == "accept" else None)


@asynccontextmanager
async def over_http(person: Person | None, mode: str) -> AsyncIterator[Client]:
    with mcp_service() as service:
        async with Client(service.url, elicitation_callback=person, mode=mode) as client:
            yield client


@asynccontextmanager
async def over_stdio(person: Person | None, mode: str, folder: Path) -> AsyncIterator[Client]:
    """The command that a host starts, with an owner of its own in `folder`."""
    variables = {**os.environ, "MCP_MEMORY_BASE_DIR": str(folder), "MCP_OWNER_IDLE_SECONDS": "30"}
    server = StdioServerParameters(command=sys.executable, args=["-m", "mcp_memory.cli", "mcp"], env=variables)
    async with Client(stdio_client(server), elicitation_callback=person, mode=mode) as client:
        yield client


async def wide(client: Client, **arguments: Any) -> types.CallToolResult:
    """Twelve notes, and the deletion of all of them."""
    notes = [{"content": f"Scratch note {n}"} for n in range(12)]
    await client.call_tool("memory_store", {"memories": notes, "tags": ["scratch"]})
    return await client.call_tool("memory_delete", {**CALL, **arguments})


async def left(client: Client) -> int:
    return int((await client.call_tool("memory_list", {})).structured_content["total"])


@asynccontextmanager
async def connected(way: str, person: Person | None, folder: Path) -> AsyncIterator[Client]:
    transport, mode = way.split()
    made = over_http(person, mode) if transport == "http" else over_stdio(person, mode, folder)
    async with made as client:
        yield client


ASKED = ["http auto", "stdio legacy"]
"""Over HTTP clients of before 2026-07-28 can't be asked: there is no session to ask them in."""


@pytest.mark.parametrize("way", ASKED)
async def test_the_person_sees_how_many_and_which_and_agrees(way: str, tmp_path: Path) -> None:
    person = Person()
    async with connected(way, person, tmp_path) as client:
        answer = await wide(client)
        assert not answer.is_error
        assert answer.structured_content["deleted_count"] == 12
        assert await left(client) == 0
    (asked,) = person.asked
    assert asked.startswith("Delete 12 memories for good?")
    assert "Scratch note 11" in asked
    assert asked.endswith("... and 7 more")


@pytest.mark.parametrize(
    ("way", "person"),
    [
        *(("http auto", Person(action)) for action in ("decline", "cancel")),
        *(("http auto", Person(content=content)) for content in ({"delete": False}, {}, {"delete": "yes"})),
        ("stdio legacy", Person("decline")),
        ("stdio auto", Person(content={})),
    ],
    ids=repr,
)
async def test_whoever_does_not_agree_keeps_all(way: str, person: Person, tmp_path: Path) -> None:
    async with connected(way, person, tmp_path) as client:
        answer = await wide(client)
        assert "Nothing was deleted" in answer.content[0].text  # type: ignore[union-attr]
        validate(answer.structured_content, MEMORY_DELETE.output)
        assert await left(client) == 12


@pytest.mark.parametrize("way", ["http auto", "http legacy", "stdio legacy"])
async def test_a_host_that_asks_nobody_is_told_to_name_the_count(way: str, tmp_path: Path) -> None:
    async with connected(way, None, tmp_path) as client:
        refused = await wide(client)
        assert refused.is_error
        assert "expect=12" in refused.content[0].text  # type: ignore[union-attr]
        assert await left(client) == 12
        done = await client.call_tool("memory_delete", {**CALL, "expect": 12})
        assert done.structured_content["deleted_count"] == 12


async def test_an_older_client_over_http_is_told_the_count_though_it_could_ask(tmp_path: Path) -> None:
    person = Person()
    async with connected("http legacy", person, tmp_path) as client:
        assert (await wide(client)).is_error
    assert person.asked == []


async def test_what_came_meanwhile_is_not_deleted_unseen() -> None:
    with mcp_service() as service:

        class Slow(Person):
            async def __call__(self, context: object, params: types.ElicitRequestParams) -> types.ElicitResult:
                async with Client(service.url) as other:
                    await other.call_tool("memory_store", {"content": "a late note", "tags": ["scratch"]})
                return await super().__call__(context, params)

        async with Client(service.url, elicitation_callback=Slow()) as client:
            refused = await wide(client)
            assert "13 memories meet these conditions, not 12" in refused.content[0].text  # type: ignore[union-attr]
            assert await left(client) == 13
