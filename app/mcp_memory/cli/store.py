"""`memory store`."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Annotated, Any

import typer

from mcp_memory.cli import exits
from mcp_memory.cli.options import AsJson, Tags, split
from mcp_memory.cli.output import print_json
from mcp_memory.cli.service import service
from mcp_memory.domain.errors import InvalidInputError

SIMILAR = "similar"
"""Status of an answer: the text wasn't stored, since another means nearly the same."""


def store(
    text: Annotated[str, typer.Argument(help="The text; `-`, or nothing, reads it from stdin.")] = "-",
    *,
    tag: Tags = None,
    memory_type: Annotated[str | None, typer.Option("--type", help="What kind of memory: note, decision, ...")] = None,
    metadata: Annotated[
        str | None, typer.Option(help='Further fields, as a JSON object: \'{"source": "wiki"}\'.')
    ] = None,
    conversation: Annotated[
        str | None,
        typer.Option(help="Conversation that it belongs to: it is stored however similar another memory is."),
    ] = None,
    into: Annotated[str, typer.Option("--store", help="Named store.")] = "default",
    as_json: AsJson = False,
) -> None:
    """Store a memory. It is on disk when this returns; a text that is there already is left as it is.

    One that wasn't stored, because another means nearly the same, ends with exit code 1.
    """
    memory = {
        "content": _read(text),
        "tags": split(tag),
        "memory_type": memory_type,
        "metadata": _object(metadata),
        "conversation_id": conversation,
        "store": into,
    }
    answer = asyncio.run(_store(memory))
    if as_json:
        print_json(answer)
    elif answer["success"]:
        print(f"Stored  {answer['content_hash']}")
    elif answer["status"] == SIMILAR:
        print(answer["message"], file=sys.stderr)
    else:
        print(answer["message"])
    if answer["status"] == SIMILAR:
        raise typer.Exit(exits.FAILURE)


async def _store(memory: dict[str, Any]) -> Any:
    async with service() as remote:
        return await remote.post("/api/memories", memory)


def _read(text: str) -> str:
    if text != "-":
        return text
    if sys.stdin.isatty():
        print("Type the text, and end it with Ctrl-D:", file=sys.stderr)
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"stdin is not UTF-8 text: {error}") from error


def _object(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InvalidInputError(f"--metadata is not JSON: {error}", field="metadata") from error
    if not isinstance(value, dict):
        raise InvalidInputError('--metadata is a JSON object, such as {"source": "wiki"}.', field="metadata")
    return value
