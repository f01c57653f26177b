"""What a tool is: a name, what a model is told about it, what it takes and gives, and the use case it calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.mcp import schemas
from mcp_memory.mcp.arguments import Arguments
from mcp_memory.mcp.schemas import JsonSchema
from mcp_memory.memories.service import Memories


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """The text that a model reads, and the same as a JSON object that meets the tool's output schema."""

    text: str
    structured: dict[str, Any]


Run: TypeAlias = Callable[[Memories, Arguments], Awaitable[ToolAnswer]]


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool. The flags are MCP's hints: what a client may let a model do without asking a person."""

    name: str
    title: str
    description: str
    parameters: Mapping[str, JsonSchema]
    output: JsonSchema
    run: Run
    required: tuple[str, ...] = ()
    read_only: bool = False
    destructive: bool = False
    idempotent: bool = True

    @property
    def input_schema(self) -> JsonSchema:
        return schemas.mapping(self.parameters, required=self.required)

    async def call(self, memories: Memories, arguments: Mapping[str, Any]) -> ToolAnswer:
        """Run it. An argument it doesn't have is refused: one that was meant to narrow a deletion must not be lost."""
        unknown = [name for name in arguments if name not in self.parameters]
        if unknown:
            known = ", ".join(self.parameters) or "none"
            raise InvalidInputError(f"{self.name} has no argument {unknown[0]!r:.80}. Its arguments: {known}.")
        missing = [name for name in self.required if arguments.get(name) is None]
        if missing:
            raise InvalidInputError(f"The argument {missing[0]} is required.", field=missing[0])
        return await self.run(memories, Arguments(arguments))
