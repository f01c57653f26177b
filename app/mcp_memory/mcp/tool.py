"""What a tool is: a name, what a model is told about it, what it takes and gives, and the use case it calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, TypeAlias

from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.mcp import schemas
from mcp_memory.mcp.arguments import Arguments, is_finite
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
    """A tool. The flags are MCP's hints: what a client may let a model do without asking a person.

    `parameters` is what `tools/list` shows; `accepted` are further arguments that a call may have, for older clients: with or
    without effect, shown only where a setting asks for it. `aliases` are names that models guess, each for a name of the two.
    """

    name: str
    title: str
    description: str
    parameters: Mapping[str, JsonSchema]
    output: JsonSchema
    run: Run
    required: tuple[str, ...] = ()
    accepted: Mapping[str, JsonSchema] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    read_only: bool = False
    destructive: bool = False
    idempotent: bool = True

    def input_schema(self, *, everything: bool = False) -> JsonSchema:
        """What `tools/list` shows; `everything`: with what is accepted from older clients."""
        shown = {**self.parameters, **self.accepted} if everything else self.parameters
        return schemas.mapping(shown, required=self.required)

    def described(self, *, everything: bool = False) -> dict[str, Any]:
        """The tool as `tools/list` has it, a JSON object."""
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": self.input_schema(everything=everything),
            "outputSchema": self.output,
            "annotations": {
                "title": self.title,
                "readOnlyHint": self.read_only,
                "destructiveHint": self.destructive,
                "idempotentHint": self.idempotent,
                "openWorldHint": False,
            },
        }

    async def call(self, memories: Memories, arguments: Mapping[str, Any]) -> ToolAnswer:
        """Run it. An argument it doesn't have is refused: one that was meant to narrow a deletion must not be lost."""
        given = self._named(arguments)
        missing = [name for name in self.required if given.get(name) is None]
        if missing:
            raise InvalidInputError(f"The argument {missing[0]} is required.", field=missing[0])
        for name, value in given.items():
            if isinstance(value, int | float) and not is_finite(value):  # also where it has no effect
                raise InvalidInputError(f"The argument {name} is no finite 64-bit number.", field=name)
        return await self.run(memories, Arguments(given))

    def _named(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments under their own names. Raises InvalidInputError for an unknown one, and for one given under two names."""
        given = {name: value for name, value in arguments.items() if name in self.parameters or name in self.accepted}
        for name, value in arguments.items():
            if name in given:
                continue
            own = self.aliases.get(name)
            if own is None:
                raise self._unknown(name)
            if value is not None and given.get(own) not in (None, value):
                raise InvalidInputError(
                    f"{name} and {own} mean the same argument of {self.name}: give one.", field=name
                )
            given[own] = value if value is not None else given.get(own)
        return given

    def _unknown(self, name: str) -> InvalidInputError:
        known = ", ".join(self.parameters) or "none"
        near = nearest_name(name, self.parameters)
        hint = f" Did you mean {near}?" if near else ""
        return InvalidInputError(
            f"{self.name} has no argument {name!r:.80}.{hint} Its arguments: {known}.", field=name[:80]
        )


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """The known name that is spelt most like it."""
    return next(iter(get_close_matches(name, list(known), n=1)), None)
