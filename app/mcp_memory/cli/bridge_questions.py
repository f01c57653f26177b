"""What the stdio bridge asks its client: whether a person agrees to a deletion that the owner would not do unasked."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from mcp_memory.mcp.confirming import SCHEMA, agreed, declined_object, question

JsonObject: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """How many memories a refused deletion would have taken, and the first words of some."""

    count: int
    first: list[str]


class Questions:
    """Requests of `elicitation/create` to one client. `send` sends one message."""

    def __init__(self, send: Callable[[JsonObject], Awaitable[None]]) -> None:
        self._send = send
        self._numbers = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[JsonObject]] = {}
        self._ended = False

    async def ask(self, unconfirmed: Unconfirmed) -> bool:
        """Whether the person agreed. No answer, an error or a client that has gone is no."""
        if self._ended:
            return False
        id_ = f"memory-{next(self._numbers)}"
        waiting: asyncio.Future[JsonObject] = asyncio.get_running_loop().create_future()
        self._waiting[id_] = waiting
        params = {"message": question(unconfirmed.count, unconfirmed.first), "requestedSchema": dict(SCHEMA)}
        try:
            await self._send({"jsonrpc": "2.0", "id": id_, "method": "elicitation/create", "params": params})
            result = (await waiting).get("result")
        finally:
            self._waiting.pop(id_, None)
        return isinstance(result, dict) and agreed(result.get("action"), result.get("content"))

    def answered(self, message: object) -> bool:
        """Whether this is the answer to a question; it is then passed on."""
        if not isinstance(message, dict) or "method" in message or not isinstance(message.get("id"), str):
            return False
        waiting = self._waiting.get(message["id"])
        if waiting is None or waiting.done():
            return False
        waiting.set_result(message)
        return True

    def end(self) -> None:
        """The client has closed its side: nobody answers any more."""
        self._ended = True
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result({})


def unconfirmed_call(message: JsonObject, answers: Sequence[bytes]) -> Unconfirmed | None:
    """What a refused deletion is about; None for every other call and answer."""
    params = message.get("params")
    if message.get("method") != "tools/call" or not isinstance(params, dict) or not answers:
        return None
    if b'"unconfirmed"' not in answers[-1]:
        return None
    result = json.loads(answers[-1]).get("result")
    if not isinstance(result, dict) or not result.get("isError"):
        return None
    details = (result.get("_meta") or {}).get("unconfirmed")
    return Unconfirmed(details["count"], details["first"]) if isinstance(details, dict) else None


def with_count(message: JsonObject, count: int) -> JsonObject:
    """The call with the number of memories that was agreed to."""
    params = message["params"]
    return {**message, "params": {**params, "arguments": {**(params.get("arguments") or {}), "expect": count}}}


def declined_result(count: int) -> JsonObject:
    """The answer to a call that a person didn't agree to."""
    answer = declined_object(count)
    return {"content": [{"type": "text", "text": answer["message"]}], "structuredContent": answer, "isError": False}
