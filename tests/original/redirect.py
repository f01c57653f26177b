"""A pytest plugin for the original's own test suite: what a test sends to its application goes to a running service of ours.

Loaded by scripts/development/original_tests.py with `-p redirect`, in an environment that holds the original and not us.
Four ways in are led over, and a test that took none of them has not been run against us:

- HTTP: `TestClient(app)` and `httpx.ASGITransport(app)`, whatever the application
- MCP: `MemoryServer().handle_...(arguments)`, `call_tool` and `list_tools`, as requests to /mcp
- the command line: `uv run memory ...`, `uv run memory-server ...`
- what a test stores straight into the original's storage is stored here, with its times; no database of the original opens

SERVICE_URL and SERVICE_SOCKET say where ours listens, SERVICE_PROGRAMS is the folder of its programs, and OUTCOMES the file to
write: a line a test, with its outcome and how the failure reads.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import testclient as fastapi_testclient
from starlette import testclient as starlette_testclient

SERVICE = httpx.URL(os.environ["SERVICE_URL"])
SECONDS = 30.0
LONGEST_MESSAGE = 300
COMMANDS = {"memory", "memory-server", "mcp-memory-server"}
"""The original's programs: ours have the same names."""


class Run:
    """What the running test has done, and what became of those before it."""

    reached = False
    dirty = True
    outcomes: dict[str, dict[str, Any]] = {}  # noqa: RUF012 - one run a process


class RefusedError(ValueError, RuntimeError):
    """An MCP answer with isError, or a JSON-RPC error: the original's handlers raise one of the two."""


def _led_over(request: httpx.Request) -> httpx.Request:
    Run.reached = Run.dirty = True
    request.url = request.url.copy_with(scheme="http", host=SERVICE.host, port=SERVICE.port)
    request.headers["host"] = SERVICE.netloc.decode()
    return request


class ToService(httpx.HTTPTransport):
    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return super().handle_request(_led_over(request))


class AsyncToService(httpx.AsyncHTTPTransport):
    """In the place of httpx.ASGITransport: takes its application, and doesn't use it."""

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await super().handle_async_request(_led_over(request))


class ServiceClient(starlette_testclient.TestClient):
    __test__ = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._transport = ToService()
        self.timeout = httpx.Timeout(SECONDS)

    def __enter__(self) -> ServiceClient:
        return self  # the original's application isn't started

    def __exit__(self, *_: object) -> None:
        self.close()


def _rpc(method: str, params: dict[str, Any]) -> dict[str, Any]:
    Run.reached = Run.dirty = True
    answer = httpx.post(
        SERVICE.copy_with(path="/mcp"),
        json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params},
        headers={"Accept": "application/json, text/event-stream"},
        timeout=SECONDS,
    )
    if answer.status_code != httpx.codes.OK:
        raise RefusedError(answer.text)
    text = answer.text
    if answer.headers["content-type"].startswith("text/event-stream"):
        text = next(line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: {"))
    body = json.loads(text)
    if "error" in body:
        raise RefusedError(body["error"]["message"])
    result: dict[str, Any] = body["result"]
    return result


def _call(name: str, arguments: dict[str, Any] | None) -> list[Any]:
    types = import_module("mcp.types")
    result = types.CallToolResult.model_validate(_rpc("tools/call", {"name": name, "arguments": arguments or {}}))
    if result.isError:
        raise RefusedError("\n".join(block.text for block in result.content))
    return list(result.content)


def _handler(tool: str) -> Callable[..., Awaitable[list[Any]]]:
    async def handle(_: object, arguments: dict[str, Any] | None = None) -> list[Any]:
        return _call(tool, arguments)

    return handle


def _lead_mcp_over() -> None:
    """Each handler of the original's server becomes a call of the tool that it answers."""
    server = import_module("mcp_memory_service.server").MemoryServer
    routing = import_module("mcp_memory_service.tools.routing")
    tools = {function: tool for tool, (_, function) in reversed(routing._PRIMARY.items())}
    types = import_module("mcp.types")

    async def call_tool(_: object, name: str, arguments: dict[str, Any] | None = None, **__: object) -> list[Any]:
        return _call(name, arguments)

    async def list_tools(_: object) -> list[Any]:
        return list(types.ListToolsResult.model_validate(_rpc("tools/list", {})).tools)

    for name in dir(server):
        if name.startswith("handle_"):
            setattr(server, name, _handler(tools.get(name, name.removeprefix("handle_"))))
    server.call_tool = server.handle_call_tool = call_tool
    server.list_tools = server.handle_list_tools = list_tools


def _store_here(memories: list[Any], store: str) -> None:
    Run.dirty = True
    lines = [
        json.dumps(
            {
                "content": memory.content,
                "content_hash": memory.content_hash,
                "tags": list(memory.tags),
                "memory_type": memory.memory_type,
                "metadata": memory.metadata,
                "created_at": memory.created_at,
                "updated_at": memory.updated_at,
                "store": store,
            }
        )
        for memory in memories
    ]
    with httpx.Client(transport=httpx.HTTPTransport(uds=os.environ["SERVICE_SOCKET"]), timeout=SECONDS) as client:
        client.post("http://owner/internal/import", json={"lines": lines}).raise_for_status()


def _store_over() -> None:
    """The original's storage becomes ours: tests that store, look up or delete beside their requests do it here."""
    storage = import_module("mcp_memory_service.storage.sqlite_vec").SqliteVecMemoryStorage
    memory_class = import_module("mcp_memory_service.models.memory").Memory

    async def initialize(self: Any, *_: object, **__: object) -> None:
        self._initialized = True

    async def store(_: object, memory: Any, *__: Any, **options: Any) -> tuple[bool, str]:
        _store_here([memory], options.get("store") or "default")
        return True, "Memory stored successfully"

    async def store_batch(_: object, memories: list[Any], *__: Any, **options: Any) -> list[tuple[bool, str]]:
        _store_here(memories, options.get("store") or "default")
        return [(True, "Memory stored successfully")] * len(memories)

    async def get_by_hash(_: object, content_hash: str, *__: Any, **___: Any) -> Any:
        answer = httpx.get(SERVICE.copy_with(path=f"/api/memories/{content_hash}"), timeout=SECONDS)  # noqa: ASYNC210 - in step
        return memory_class.from_dict(answer.json()) if answer.status_code == httpx.codes.OK else None

    async def delete(_: object, content_hash: str, *__: Any, **___: Any) -> tuple[bool, str]:
        answer = httpx.delete(SERVICE.copy_with(path=f"/api/memories/{content_hash}"), timeout=SECONDS)  # noqa: ASYNC210 - in step
        return answer.status_code == httpx.codes.OK, answer.text

    for method in (initialize, store, store_batch, get_by_hash, delete):
        setattr(storage, method.__name__, method)


def _lead_commands_over() -> None:
    start = subprocess.Popen.__init__

    def started(self: subprocess.Popen[Any], args: Any, *rest: Any, **options: Any) -> None:
        if isinstance(args, list) and args[:2] == ["uv", "run"] and len(args) > 2 and args[2] in COMMANDS:
            Run.reached = True
            args = [str(Path(os.environ["SERVICE_PROGRAMS"]) / args[2]), *args[3:]]
        start(self, args, *rest, **options)

    subprocess.Popen.__init__ = started  # type: ignore[method-assign,assignment]


def _forget_everything() -> None:
    with httpx.Client(base_url=SERVICE, timeout=SECONDS) as client:
        while True:
            hashes = client.get("/api/memories/hashes", params={"limit": 1000}).raise_for_status().json()["hashes"]
            if not hashes:
                break
            client.post("/api/memories/delete", json={"hashes": hashes, "store": "all"}).raise_for_status()
    Run.dirty = False


fastapi_testclient.TestClient = starlette_testclient.TestClient = ServiceClient  # type: ignore[misc]
httpx.ASGITransport = AsyncToService  # type: ignore[misc,assignment]


def pytest_collection_finish() -> None:
    """After the original's conftest has put its sources in front."""
    _lead_mcp_over()
    _store_over()
    _lead_commands_over()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    Run.reached = False
    if Run.dirty:
        _forget_everything()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report: Any = yield
    known = Run.outcomes.setdefault(item.nodeid, {"test": item.nodeid, "outcome": "passed", "message": ""})
    if report.failed:
        crash = getattr(report.longrepr, "reprcrash", None)
        message = crash.message if crash else str(report.longrepr)
        known.update(outcome="failed", message=" ".join(message.split())[:LONGEST_MESSAGE])
    elif report.skipped and known["outcome"] == "passed":
        known["outcome"] = "skipped"
    known["reached"] = Run.reached
    return report  # type: ignore[no-any-return]


def pytest_runtest_logfinish(nodeid: str) -> None:
    """Line by line, so that a run that is ended leaves what it found."""
    with Path(os.environ["OUTCOMES"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(Run.outcomes[nodeid]) + "\n")
