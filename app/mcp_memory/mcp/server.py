"""The protocol side of the tools and resources: the SDK's server with its handlers, and how errors reach the client.

A mistake in the input and a storage that can't be reached are answers with isError, which a model can read and act on; only
unknown tools and resources are protocol errors.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias, TypeVar

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError

from mcp_memory.access import may_write
from mcp_memory.domain.agents import from_header
from mcp_memory.domain.errors import MemoryServiceError, ReadOnlyAccessError
from mcp_memory.mcp import confirming
from mcp_memory.mcp.handshake import HANDSHAKE_VERSIONS, INSTRUCTIONS, SERVER_NAME
from mcp_memory.mcp.render import document, first_words
from mcp_memory.mcp.resource_list import JSON, RESOURCES, TEMPLATES
from mcp_memory.mcp.resources import read_resource
from mcp_memory.mcp.tool import Tool
from mcp_memory.mcp.tools.absent import ABSENT
from mcp_memory.mcp.tools.registry import LEGACY_TOOLS, answered_tools, listed_tools
from mcp_memory.memories.requests import UnconfirmedError
from mcp_memory.memories.service import Memories

log = logging.getLogger(__name__)

Context: TypeAlias = ServerRequestContext[Any]
Page: TypeAlias = types.PaginatedRequestParams | None
Answer = TypeVar("Answer")
_SIGNATURE: Final = {"agent_id": "x-agent-id", "client_hostname": "x-client-hostname"}


def build_server(
    get_memories: Callable[[], Memories], *, legacy_names: bool, list_everything: bool, version: str
) -> Server[Any]:
    """A server that asks `get_memories` at every request, so that it can be built before the storage is open."""
    tools = answered_tools(legacy_names=legacy_names)
    listed = listed_tools(legacy_names=legacy_names, everything=list_everything)
    descriptions = [types.Tool.model_validate(tool.described(everything=list_everything)) for tool in listed.values()]

    resources = [types.Resource.model_validate(resource) for resource in RESOURCES]
    templates = [types.ResourceTemplate.model_validate(template) for template in TEMPLATES]

    async def list_tools(_context: Context, _page: Page) -> types.ListToolsResult:
        return types.ListToolsResult(tools=descriptions)

    async def call_tool(
        context: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        tool = tools.get(params.name)
        if tool is None:
            raise _unknown_tool(params.name, listed)
        if not tool.read_only and not may_write(context.request):
            return _failed(ReadOnlyAccessError(tool.name))
        arguments = _signed(tool, params.arguments or {}, context.request)
        if (count := _asked_about(params)) is not None:
            if not _agreed(params):
                declined = confirming.declined_object(count)
                return types.CallToolResult(content=[_text(declined["message"])], structured_content=declined)
            arguments = {**arguments, "expect": count}
        try:
            answer = await _guarded(tool.name, lambda: tool.call(get_memories(), arguments))
        except UnconfirmedError as error:
            return _question(error) if _can_ask(context) else _failed(error)
        except MemoryServiceError as error:
            return _failed(error)
        notices = [_text(notice) for notice in get_memories().take_notices()]
        return types.CallToolResult(content=[_text(answer.text), *notices], structured_content=answer.structured)

    async def list_resources(_context: Context, _page: Page) -> types.ListResourcesResult:
        return types.ListResourcesResult(resources=resources)

    async def list_templates(_context: Context, _page: Page) -> types.ListResourceTemplatesResult:
        return types.ListResourceTemplatesResult(resource_templates=templates)

    async def read(_context: Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        try:
            content = await _guarded(params.uri, lambda: read_resource(get_memories(), params.uri))
        except MemoryServiceError as error:
            raise MCPError(code=types.INTERNAL_ERROR, message=error.message, data={"code": error.code}) from error
        return types.ReadResourceResult(
            contents=[types.TextResourceContents(uri=params.uri, mime_type=JSON, text=_sendable(document(content)))]
        )

    return Server(
        SERVER_NAME,
        version=version,
        instructions=INSTRUCTIONS,
        get_tool_input_schema=lambda name: tools[name].input_schema(everything=True) if name in tools else None,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read,
    )


def _signed(tool: Tool, arguments: dict[str, Any], request: object) -> dict[str, Any]:
    """For what stores, the agent of the header X-Agent-ID and the machine of X-Client-Hostname where the call itself names none,
    as over REST."""
    headers = getattr(request, "headers", None)
    if tool.read_only or headers is None:
        return arguments
    takes = {**tool.parameters, **tool.accepted}
    said = {name: from_header(headers.get(header)) for name, header in _SIGNATURE.items() if name in takes}
    return arguments | {name: value for name, value in said.items() if value and not arguments.get(name)}


def _can_ask(context: Context) -> bool:
    """Whether the client is one of 2026-07-28 or later that shows forms: it is asked by an answer."""
    if context.protocol_version in HANDSHAKE_VERSIONS or context.session.client_capabilities is None:
        return False
    return confirming.can_ask(context.session.client_capabilities.model_dump(by_alias=True, exclude_none=True))


def _question(error: UnconfirmedError) -> types.InputRequiredResult:
    """The count comes back with the person's answer: what was added meanwhile is not deleted unseen."""
    message = confirming.question(error.count, [_sendable(first_words(memory)) for memory in error.first])
    form = types.ElicitRequestFormParams(message=message, requested_schema=dict(confirming.SCHEMA))
    return types.InputRequiredResult(
        input_requests={confirming.KEY: types.ElicitRequest(params=form)}, request_state=str(error.count)
    )


def _asked_about(params: types.CallToolRequestParams) -> int | None:
    """How many memories the question was about that this call brings the answer to; None where it brings none."""
    state = params.request_state or ""
    return int(state) if state.isascii() and state.isdecimal() and len(state) < 12 else None


def _agreed(params: types.CallToolRequestParams) -> bool:
    answer = (params.input_responses or {}).get(confirming.KEY)
    return isinstance(answer, types.ElicitResult) and confirming.agreed(answer.action, answer.content)


async def _guarded(what: str, work: Callable[[], Awaitable[Answer]]) -> Answer:
    """Let our own errors through; anything else is a defect: logged here, and kept from the client, to whom the SDK would
    pass its text."""
    try:
        return await work()
    except (MemoryServiceError, MCPError):
        raise
    except Exception as error:  # the boundary to the wire
        log.exception("%s failed", what)
        raise MCPError(code=types.INTERNAL_ERROR, message=f"{what} failed; the server's log says why.") from error


def _failed(error: MemoryServiceError) -> types.CallToolResult:
    """The message for the model, its code beside it. No structured content: strict clients would hold it to the schema."""
    details: dict[str, Any] = {"code": error.code}
    for name, key in (("field", "field"), ("retry_after", "retryAfter")):
        value = getattr(error, name, None)
        if value is not None:
            details[key] = value
    if isinstance(error, UnconfirmedError):
        details["unconfirmed"] = {"count": error.count, "first": [first_words(memory) for memory in error.first]}
    return types.CallToolResult(content=[_text(f"Error ({error.code}): {error.message}")], is_error=True, _meta=details)


def _unknown_tool(name: str, listed: dict[str, Tool]) -> MCPError:
    if name in ABSENT:
        return MCPError(code=types.INVALID_PARAMS, message=f"Unknown tool: {name}. {ABSENT[name]}")
    hint = f"The tools are {', '.join(listed)}."
    if name in {tool.name for tool in LEGACY_TOOLS}:
        hint += " Old names are switched off (MCP_LEGACY_TOOL_NAMES)."
    return MCPError(code=types.INVALID_PARAMS, message=f"Unknown tool: {_sendable(name[:80])}. {hint}")


def _text(text: str) -> types.TextContent:
    return types.TextContent(text=_sendable(text))


def _sendable(text: str) -> str:
    """Without lone surrogates, which an echo of wrong input may hold and UTF-8 can't."""
    return text.encode("utf-8", "replace").decode("utf-8")
