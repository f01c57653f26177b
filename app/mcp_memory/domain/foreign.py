"""A record of another store as a memory of ours: what fits is normalised, the rest is kept under `_imported`, all of it noted."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias, TypeVar

from mcp_memory.domain.agents import named_agent, with_agent_tag
from mcp_memory.domain.checks import EVERY_STORE, check_memory_type, check_metadata, check_store
from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.domain.foreign_notes import IMPORTED_KEY, Note
from mcp_memory.domain.foreign_times import NO_TIMES, RawTimes, resolve_times
from mcp_memory.domain.hashes import can_be_kept
from mcp_memory.domain.memory import DEFAULT_STORE, JsonValue, Memory, content_hash
from mcp_memory.domain.tags import parse_tags

T = TypeVar("T")
_Label: TypeAlias = tuple[T, Note | None, JsonValue]
"""A tag list, type or store as we have it; and, where it had to be changed, why, and what the source said."""


@dataclass(frozen=True, slots=True)
class RawMemory:
    """A row as the source holds it; any value may be missing or of an unexpected type. Texts may be bytes."""

    content: object
    content_hash: object = None
    tags: object = None
    memory_type: object = None
    metadata: object = None
    times: RawTimes = NO_TIMES
    store: object = None
    homeless: Mapping[str, object] = field(default_factory=dict)
    """Values that no field of ours has, by name."""
    graph: Sequence[Mapping[str, object]] = ()
    """Edges from this memory to others."""


class UnreadableError(ValueError):
    """The row can't become a memory; the message says why."""


def convert(raw: RawMemory, *, fallback_time: float) -> tuple[Memory, tuple[Note, ...]]:
    """Raises UnreadableError. `fallback_time` (UTC seconds) stands in where a row has no time at all."""
    notes: list[Note] = []
    kept: dict[str, JsonValue] = {}
    content = _text(raw.content, "content", kept, notes)
    if not content.strip():
        raise UnreadableError("its content is empty")
    tags = _label(_tags(raw.tags), "tags", kept, notes)
    memory_type = _label(_memory_type(raw.memory_type), "memory_type", kept, notes)
    store = _label(_store(raw.store), "store", kept, notes)
    created_at, updated_at = resolve_times(raw.times, fallback_time, kept, notes)
    metadata = _metadata(raw.metadata, kept, notes)
    tags = _with_agent(tags, metadata.get("agent_id"))
    hash_ = _hash(raw.content_hash, content, kept, notes)
    if raw.homeless:
        kept.update({name: storable(value) for name, value in raw.homeless.items()})
        notes.append(Note.FIELDS_KEPT)
    if raw.graph:
        kept["graph"] = [{name: storable(value) for name, value in edge.items()} for edge in raw.graph]
        notes.append(Note.GRAPH_KEPT)
    if kept:
        metadata = with_kept(metadata, kept)
    memory = Memory(
        content=content,
        content_hash=hash_,
        created_at=created_at,
        updated_at=updated_at,
        tags=with_agent_tag(tags, named_agent(None, metadata)),
        memory_type=memory_type,
        metadata=metadata,
        store=store,
    )
    return memory, tuple(notes)


def storable(value: object) -> JsonValue:
    """A value that domain checks pass: itself, or a text that says the same."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(value).decode()}
    try:
        check_metadata({"value": value}, imported=True)
    except InvalidInputError:
        return _escaped(value)
    return value


def _escaped(value: object) -> str:
    try:
        return json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return ascii(value)


def _text(value: object, name: str, kept: dict[str, JsonValue], notes: list[Note]) -> str:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            kept[name] = {"base64": base64.b64encode(value).decode()}
            notes.append(Note.TEXT_REPAIRED)
            return value.decode(errors="replace")
    if not isinstance(value, str):
        return "" if value is None else str(value)
    try:
        value.encode()
    except UnicodeEncodeError:
        kept[name] = {"json": json.dumps(value)}
        notes.append(Note.TEXT_REPAIRED)
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return value


def _hash(value: object, content: str, kept: dict[str, JsonValue], notes: list[Note]) -> str:
    """As the source has it; what could not be named here is kept beside the computed one."""
    computed = content_hash(content)
    stored = value.decode(errors="replace") if isinstance(value, bytes) else value
    if not isinstance(stored, str) or not stored.strip():
        notes.append(Note.HASH_MISSING)
        return computed
    if not can_be_kept(stored):
        kept["content_hash"] = storable(value)
        notes.append(Note.HASH_UNUSABLE)
        return computed
    if stored != computed:
        notes.append(Note.HASH_KEPT)
    return stored


def _label(found: _Label[T], name: str, kept: dict[str, JsonValue], notes: list[Note]) -> T:
    """Keep what a label's source said where it had to be changed."""
    value, note, original = found
    if note is not None:
        kept[name] = original
        notes.append(note)
    return value


def _remembered(convert_label: Callable[[object], _Label[T]]) -> Callable[[object], _Label[T]]:
    """Labels repeat from row to row: half the time of a conversion went into parsing the same ones again."""
    cached = lru_cache(maxsize=4096)(convert_label)
    return lambda value: cached(value) if isinstance(value, str | bytes) and len(value) <= 500 else convert_label(value)


@_remembered
def _tags(value: object) -> _Label[tuple[str, ...]]:
    """Normalised; the original is kept where it says something else than the normalised tags do."""
    raw = value.decode(errors="replace") if isinstance(value, bytes) else value
    if raw is None or raw in ("", []):
        return (), None, None
    if not isinstance(raw, str | list | tuple):
        return (), Note.TAGS_UNUSABLE, storable(raw)
    try:
        tags = parse_tags(raw, imported=True)
    except InvalidInputError:
        return _usable_tags(raw), Note.TAGS_UNUSABLE, storable(value)
    written = raw.split(",") if isinstance(raw, str) else list(raw)
    if tuple(written) == tags:
        return tags, None, None
    return tags, Note.TAGS_NORMALISED, storable(value)


def _with_agent(tags: tuple[str, ...], agent_id: object) -> tuple[str, ...]:
    """Who stored a memory is found by the tag `agent:<id>` here, and by `metadata.agent_id` in the original."""
    if not isinstance(agent_id, str) or not agent_id.strip():
        return tags
    try:
        added = parse_tags([f"agent:{agent_id.strip()}"], imported=True)
    except InvalidInputError:
        return tags  # an id that no tag can hold stays in the metadata
    return tuple(dict.fromkeys((*tags, *added)))


def _usable_tags(raw: str | Sequence[object]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for item in raw.split(",") if isinstance(raw, str) else raw:
        try:
            found.update(dict.fromkeys(parse_tags([item], imported=True)))  # type: ignore[list-item]
        except InvalidInputError:
            continue  # the whole original text is kept, and the memory noted
    return tuple(found)


@_remembered
def _memory_type(value: object) -> _Label[str | None]:
    raw = value.decode(errors="replace") if isinstance(value, bytes) else value
    if raw is None or raw == "":
        return None, None, None
    try:
        memory_type = check_memory_type(raw)  # type: ignore[arg-type]
    except InvalidInputError:
        return None, Note.TYPE_UNUSABLE, storable(value)
    if memory_type == raw:
        return memory_type, None, None
    return memory_type, Note.TYPE_NORMALISED, storable(value)


@_remembered
def _store(value: object) -> _Label[str]:
    """The store's own name. One that breaks a rule gets a name that tells it apart, and keeps its own under `_imported`."""
    raw = value.decode(errors="replace") if isinstance(value, bytes) else value
    if raw is None or raw == "":
        return DEFAULT_STORE, None, None
    try:
        store = check_store(raw)
    except InvalidInputError:
        is_all = isinstance(raw, str) and raw.strip().lower() == EVERY_STORE
        store = "imported-all" if is_all else f"imported-{content_hash(ascii(raw))[:12]}"
    if store == raw:
        return store, None, None
    return store, Note.STORE_RENAMED, storable(value)


def _metadata(value: object, kept: dict[str, JsonValue], notes: list[Note]) -> dict[str, JsonValue]:
    """The object's keys that pass the checks; where one doesn't, or it is no JSON object, the whole text is kept besides."""
    if value is None or value in ("", b""):
        return {}
    parsed = value
    if isinstance(value, str | bytes):
        try:
            parsed = json.loads(value)
        except (ValueError, RecursionError):
            parsed = None
    if isinstance(parsed, dict):
        try:
            return check_metadata(parsed, imported=True)
        except InvalidInputError:
            pass
    kept["metadata"] = storable(value) if isinstance(value, str | bytes) else _escaped(value)
    notes.append(Note.METADATA_AS_TEXT)
    return {key: item for key, item in parsed.items() if _passes(key, item)} if isinstance(parsed, dict) else {}


def _passes(key: str, value: JsonValue) -> bool:
    try:
        check_metadata({key: value}, imported=True)
    except InvalidInputError:
        return False
    return True


def with_kept(metadata: Mapping[str, JsonValue], kept: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Add to what an earlier import kept; a value of ours wins over nothing, and over an earlier one of the same name."""
    earlier = metadata.get(IMPORTED_KEY)
    if earlier is None:
        return {**metadata, IMPORTED_KEY: dict(kept)}
    if not isinstance(earlier, dict):
        earlier = {IMPORTED_KEY: earlier}
    return {**metadata, IMPORTED_KEY: {**earlier, **kept}}
