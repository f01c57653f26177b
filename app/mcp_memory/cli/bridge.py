"""MCP on stdin and stdout, carried to the owner of the store: newline-delimited JSON-RPC in, POST /mcp out.

What never changes by itself is answered here (mcp/unchanging.py), so that an assistant isn't kept waiting while an owner starts
and loads its model.
Nothing here imports the settings or a web framework before that answer is out.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeAlias

from mcp_memory.cli.bridge_questions import Questions, Unconfirmed, declined_result, unconfirmed_call, with_count
from mcp_memory.cli.pipes import StandardStreams
from mcp_memory.domain.errors import MemoryServiceError
from mcp_memory.mcp.confirming import can_ask
from mcp_memory.mcp.handshake import http_headers
from mcp_memory.mcp.message import INTERNAL_ERROR, INVALID_REQUEST, PARSE_ERROR, why_invalid
from mcp_memory.mcp.resource_list import RESOURCES, TEMPLATES
from mcp_memory.mcp.unchanging import Unchanging
from mcp_memory.owner.client import OwnerClient
from mcp_memory.owner.connection import Response
from mcp_memory.owner.identity import StoreIdentity

JsonObject: TypeAlias = dict[str, Any]
Write: TypeAlias = Callable[[bytes], Awaitable[None]]

REQUEST_SECONDS = 600.0
"""A tool that deletes or checks a million memories takes its time; clients cancel what they no longer want."""
AT_A_TIME = 256


def serve_stdio() -> bool:
    """Serve until stdin ends and every request has its answer. False when stdin ended before the first message."""
    with StandardStreams() as streams, suppress(KeyboardInterrupt):
        return asyncio.run(_serve(streams))
    return True


async def _serve(streams: StandardStreams) -> bool:
    bridge = Bridge(_client, streams.write)
    heard = False
    try:
        async for line in streams.lines():
            heard = True
            await bridge.receive(line)
        await bridge.finish()
    except BrokenPipeError:
        pass  # nobody reads our answers any more
    finally:
        await bridge.close()
    return heard


async def _client() -> OwnerClient:
    store, headers = await asyncio.to_thread(_store)
    return OwnerClient(store, headers=headers)


def _store() -> tuple[StoreIdentity, dict[str, str]]:
    """The store, and what goes with every request: who this assistant is, so that a server that others use knows."""
    try:
        from mcp_memory.config import load_settings  # noqa: PLC0415 - half a second, spent after `initialize` is answered
        from mcp_memory.domain.agents import to_headers  # noqa: PLC0415
        from mcp_memory.owner.identity import identify  # noqa: PLC0415
    except ImportError as error:
        from mcp_memory.native import unloadable  # noqa: PLC0415

        if (problem := unloadable(error)) is None:
            raise
        raise problem from error
    settings = load_settings()
    return identify(settings), to_headers(settings.agent_id)


def _constant_results() -> JsonObject:
    from mcp_memory.config import load_settings  # noqa: PLC0415
    from mcp_memory.mcp.tools.registry import descriptions  # noqa: PLC0415

    settings = load_settings()
    tools = descriptions(legacy_names=settings.legacy_tool_names, everything=settings.list_all_tools)
    return {
        "tools/list": {"tools": tools},
        "resources/list": {"resources": RESOURCES},
        "resources/templates/list": {"resourceTemplates": TEMPLATES},
    }


class Bridge:
    """One MCP session. `write` sends one message (a line without its end) to the client."""

    def __init__(
        self,
        client: Callable[[], Coroutine[Any, Any, OwnerClient]],
        write: Write,
        constants: Callable[[], JsonObject] | None = None,
    ) -> None:
        self._make_client = client
        self._make_constants = constants or _constant_results
        self._constant: asyncio.Task[JsonObject] | None = None
        self._write = write
        self._client: asyncio.Task[OwnerClient] | None = None
        self._own = Unchanging(self._constants)
        self._questions: Questions | None = None
        self._warming: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._by_id: dict[str, asyncio.Task[Any]] = {}
        self._slots = asyncio.Semaphore(AT_A_TIME)

    async def receive(self, line: bytes) -> None:
        """Take one line. Requests are worked on side by side; at most AT_A_TIME, then stdin waits."""
        if not line.strip():
            return
        try:
            message = json.loads(line)
        except (ValueError, RecursionError) as error:
            await self._send(_error(None, PARSE_ERROR, f"Parse error: {error}"))
            return
        if isinstance(message, dict) and "id" not in message:
            self._notified(message)
            return
        if self._questions is not None and self._questions.answered(message):
            return
        await self._slots.acquire()
        task = asyncio.create_task(self._answer(message, line))
        self._tasks.add(task)
        if isinstance(message, dict):
            self._remember(message, task)
        task.add_done_callback(self._done)

    async def finish(self) -> None:
        """Wait until every request has been answered; whoever was asked something says nothing more."""
        if self._questions is not None:
            self._questions.end()
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Drop what is still in work."""
        tasks = [task for task in (*self._tasks, self._warming, self._client, self._constant) if task is not None]
        client = (
            self._client.result() if self._client and self._client.done() and not self._client.exception() else None
        )
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if client is not None:
            await client.close()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._slots.release()
        for key in [key for key, value in self._by_id.items() if value is task]:
            del self._by_id[key]
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, BrokenPipeError):
            print(f"memory mcp: {error!r}", file=sys.stderr)

    def _remember(self, message: JsonObject, task: asyncio.Task[Any]) -> None:
        self._by_id[json.dumps(message.get("id"))] = task

    def _notified(self, message: JsonObject) -> None:
        """Notifications mean nothing to a server without sessions, except that a request is no longer wanted."""
        params = message.get("params")
        if message.get("method") == "notifications/cancelled" and isinstance(params, dict):
            task = self._by_id.get(json.dumps(params.get("requestId")))
            if task is not None:
                task.cancel()

    async def _answer(self, message: object, line: bytes) -> None:
        if isinstance(message, list):
            await self._answer_batch(message)
            return
        for answer in await self._answers(message, line):
            await self._write(answer)
        if isinstance(message, dict) and message.get("method") in ("initialize", "server/discover"):
            self._warming = asyncio.create_task(self._warm_up())

    async def _answer_batch(self, messages: list[object]) -> None:
        """Protocol 2025-03-26 and older: an array of messages, answered by an array without the notifications."""
        if not messages:
            await self._send(_error(None, INVALID_REQUEST, "Invalid Request: an empty batch"))
            return
        wanted: list[asyncio.Task[list[bytes]]] = []
        for message in messages:
            if isinstance(message, dict) and "id" not in message:
                self._notified(message)
                continue
            task = asyncio.create_task(self._answers(message, json.dumps(message).encode()))
            if isinstance(message, dict):
                self._remember(message, task)
            wanted.append(task)
        try:
            done = await asyncio.gather(*wanted, return_exceptions=True)
        finally:
            for task in wanted:
                task.cancel()
            self._by_id = {key: task for key, task in self._by_id.items() if task not in wanted}
        answers = [answer for each in done if isinstance(each, list) for answer in each]
        if answers:
            await self._write(b"[" + b",".join(answers) + b"]")

    async def _answers(self, message: object, line: bytes) -> list[bytes]:
        """The lines that answer one request: its response, after the notifications that came with it."""
        why = why_invalid(message)
        if why is not None or not isinstance(message, dict):
            return [_dump(_error(None, INVALID_REQUEST, str(why)))]
        method, id_ = message.get("method"), message["id"]
        if not isinstance(method, str):
            return []  # a response to nothing that was asked
        try:
            own = await self._own.answer(method, message.get("params"))
            if own is not None:
                self._note_forms(method, message.get("params"))
                return [_dump({"jsonrpc": "2.0", "id": id_, **own})]
            answers = await self._carried(message, line.strip())
            if self._questions is not None and (unconfirmed := unconfirmed_call(message, answers)) is not None:
                return await self._confirmed(message, unconfirmed)
        except MemoryServiceError as error:
            return [_dump(_error(id_, INTERNAL_ERROR, error.message, {"code": error.code}))]
        return answers

    async def _carried(self, message: JsonObject, body: bytes) -> list[bytes]:
        """What the owner answers to a request."""
        client = await self._connected()
        response = await client.request(
            "POST",
            "/mcp",
            headers=http_headers(message, self._own.version),
            body=body,
            deadline_seconds=REQUEST_SECONDS,
        )
        return _messages(response, message["id"])

    async def _confirmed(self, message: JsonObject, unconfirmed: Unconfirmed) -> list[bytes]:
        """Ask the person, and send the call once more with the count that was agreed to."""
        assert self._questions is not None  # noqa: S101  (the caller looked)
        if not await self._questions.ask(unconfirmed):
            return [_dump({"jsonrpc": "2.0", "id": message["id"], "result": declined_result(unconfirmed.count)})]
        call = with_count(message, unconfirmed.count)
        return await self._carried(call, _dump(call))

    def _note_forms(self, method: str, params: object) -> None:
        """Whether this client can be asked something, which it says when it begins."""
        if method == "initialize" and isinstance(params, dict) and can_ask(params.get("capabilities")):
            self._questions = Questions(self._send)

    async def _constants(self) -> JsonObject:
        """What the owner would answer and no memory changes: who asks for the tools doesn't wait for a model to load."""
        if self._constant is None or (self._constant.done() and self._constant.exception() is not None):
            self._constant = asyncio.create_task(asyncio.to_thread(self._make_constants))
        return await asyncio.shield(self._constant)

    async def _warm_up(self) -> None:
        """Find or start the owner before the first tool is called."""
        try:
            await (await self._connected()).connect()
        except MemoryServiceError as error:
            print(f"memory mcp: {error.message}", file=sys.stderr)  # and in the answer to the first request

    async def _connected(self) -> OwnerClient:
        """The client, made once: its settings are read then. A mistake in them is met again by every request."""
        if self._client is None or (self._client.done() and self._client.exception() is not None):
            self._client = asyncio.create_task(self._make_client())
        return await asyncio.shield(self._client)

    async def _send(self, message: JsonObject) -> None:
        await self._write(_dump(message))


def _messages(response: Response, id_: str | float) -> list[bytes]:
    """The JSON-RPC messages in the owner's answer; an HTTP error becomes the response to the request."""
    if response.media_type == "text/event-stream":
        return [_line(event) for event in response.events()]
    try:
        body = response.json()
    except ValueError:
        body = None
    if isinstance(body, dict) and body.get("jsonrpc") == "2.0":
        if body.get("id") is None:
            return [_dump(body | {"id": id_})]
        return [_line(response.body)]
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, dict):
        data = {"code": error.get("code"), "status": response.status}
        return [_dump(_error(id_, INTERNAL_ERROR, str(error.get("message")), data))]
    return [_dump(_error(id_, INTERNAL_ERROR, f"The memory service answered HTTP {response.status}."))]


def _line(message: bytes) -> bytes:
    """JSON on one line. A raw newline can only stand between tokens."""
    return message.replace(b"\r", b"").replace(b"\n", b"").strip()


def _error(id_: str | float | None, code: int, message: str, data: object = None) -> JsonObject:
    error: JsonObject = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return {"jsonrpc": "2.0", "id": id_, "error": error}


def _dump(message: JsonObject) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()
