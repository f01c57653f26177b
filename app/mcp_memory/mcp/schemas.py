"""JSON schemas in the subset that every client accepts: one `type` each, no references, no unions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

JsonSchema: TypeAlias = dict[str, Any]

WITHOUT_EFFECT = "Accepted from older clients; has no effect here."


def text(description: str, *, choices: Sequence[str] = (), default: str | None = None) -> JsonSchema:
    schema: JsonSchema = {"type": "string", "description": description}
    if choices:
        schema["enum"] = list(choices)
    return schema if default is None else {**schema, "default": default}


def integer(
    description: str, *, minimum: int | None = None, maximum: int | None = None, default: int | None = None
) -> JsonSchema:
    bounds = {"minimum": minimum, "maximum": maximum, "default": default}
    return {
        "type": "integer",
        "description": description,
        **{name: value for name, value in bounds.items() if value is not None},
    }


def number(description: str, *, minimum: float | None = None, maximum: float | None = None) -> JsonSchema:
    bounds = {"minimum": minimum, "maximum": maximum}
    return {
        "type": "number",
        "description": description,
        **{name: value for name, value in bounds.items() if value is not None},
    }


def flag(description: str, *, default: bool | None = None) -> JsonSchema:
    schema: JsonSchema = {"type": "boolean", "description": description}
    return schema if default is None else {**schema, "default": default}


def texts(description: str) -> JsonSchema:
    return {"type": "array", "items": {"type": "string"}, "description": description}


def objects(description: str, item: JsonSchema) -> JsonSchema:
    return {"type": "array", "items": item, "description": description}


def mapping(
    properties: Mapping[str, JsonSchema],
    *,
    required: Sequence[str] = (),
    description: str | None = None,
) -> JsonSchema:
    """An object. `properties` is there even when it is empty: some clients refuse a schema without it."""
    schema: JsonSchema = {"type": "object", "properties": dict(properties)}
    if required:
        schema["required"] = list(required)
    if description is not None:
        schema["description"] = description
    return {**schema, "additionalProperties": False}


def free_object(description: str) -> JsonSchema:
    """An object of any keys. Nothing is said about them: converters read `properties` as all there are (mcpo then keeps no
    other), and refuse `additionalProperties: true` (OpenAI's strict mode)."""
    return {"type": "object", "description": description}


def shown_memories(description: str) -> JsonSchema:
    """Memories as answers show them."""
    return objects(description, free_object("A memory: content_hash, date, memory_type, tags, metadata, content"))


def memory(description: str, extra: Mapping[str, JsonSchema] | None = None) -> JsonSchema:
    """A memory as the tools give it, with further fields; the same names as in REST."""
    return mapping(
        {
            "content": text("The text"),
            "content_hash": text("64 hex digits that name this memory in memory_update and memory_delete"),
            "tags": texts("Tags"),
            "memory_type": text("Type, where it has one"),
            "metadata": free_object("Metadata"),
            "store": text("The store it is in"),
            "created_at": number("UTC seconds"),
            "created_at_iso": text("ISO 8601, UTC"),
            "updated_at": number("UTC seconds"),
            "updated_at_iso": text("ISO 8601, UTC"),
            **(extra or {}),
        },
        required=("content", "content_hash", "tags", "metadata", "created_at", "updated_at"),
        description=description,
    )
