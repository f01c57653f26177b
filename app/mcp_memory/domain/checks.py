"""Checks below every way in: what passes here can be stored, found again and loaded by every engine.

Each returns the value in the form that is stored and raises InvalidInputError, naming the field, otherwise. `imported=True` is
for what another store already holds: sizes are then not judged, and NUL is kept.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mcp_memory.domain.errors import DimensionMismatchError, InvalidInputError

if TYPE_CHECKING:
    from mcp_memory.domain.memory import JsonValue, Vector

MAX_METADATA_DEPTH = 32
"""An engine was seen to accept JSON nested 125 deep, and never to load the collection again."""
MAX_METADATA_BYTES = 65_536
MAX_QUERY_LENGTH = 8_192
MAX_NAME_LENGTH = 128
MAX_LIMIT = 100
LATEST_TIME = 253_402_300_799.0
"""The last second of the year 9999."""
EVERY_STORE = "all"
INT64 = range(-(2**63), 2**63)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def check_text(text: object, field: str, *, name: str | None = None, allow_nul: bool = False) -> str:
    """A text that UTF-8 can hold: no lone surrogates and, unless allowed, no NUL. `name` is what the message calls it."""
    name = name or field
    if not isinstance(text, str):
        raise InvalidInputError(f"{name} must be a text, got {type(text).__name__}.", field=field)
    if found := _SURROGATE.search(text):
        raise InvalidInputError(
            f"{name} isn't valid Unicode: a lone surrogate U+{ord(found[0]):04X} at position {found.start()}.",
            field=field,
        )
    if not allow_nul and (position := text.find("\0")) >= 0:
        raise InvalidInputError(f"{name} holds a NUL character at position {position}; remove it.", field=field)
    return text


def check_content(content: object, *, max_length: int, imported: bool = False) -> str:
    """The text of a memory, unchanged: not blank and, for a new one, at most `max_length` characters."""
    text = check_text(content, "content", allow_nul=imported)
    if not text.strip():
        raise InvalidInputError("content is empty: a memory needs a text.", field="content")
    if not imported and len(text) > max_length:
        raise InvalidInputError(
            f"content has {len(text):,} characters, more than the {max_length:,} that one memory may have "
            "(MCP_MAX_CONTENT_LENGTH). Split it into several memories.",
            field="content",
        )
    return text


def check_metadata(
    metadata: Mapping[str, JsonValue] | None, *, imported: bool = False, field: str = "metadata"
) -> dict[str, JsonValue]:
    """JSON values only, at most 32 levels deep (metadata itself is the first), 64-bit integers, finite numbers, valid Unicode.

    New metadata is at most 64 KiB as JSON in UTF-8.
    """
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        raise InvalidInputError(f"{field} must be a JSON object, got {type(metadata).__name__}.", field=field)
    plain = dict(metadata)
    pending: list[tuple[object, str, int]] = [(plain, field, 1)]
    while pending:
        value, path, depth = pending.pop()
        if isinstance(value, dict | list) and depth > MAX_METADATA_DEPTH:
            raise InvalidInputError(f"{field} is nested more than {MAX_METADATA_DEPTH} levels deep.", field=field)
        if isinstance(value, dict):
            for key, item in value.items():
                check_text(key, field, name=f"a key of {path[:120]}", allow_nul=imported)
                pending.append((item, f"{path}.{key}", depth + 1))
        elif isinstance(value, list):
            pending.extend((item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value))
        else:
            _check_scalar(value, path[:200], field, imported=imported)
    if not imported and (size := json_size(plain)) > MAX_METADATA_BYTES:
        raise InvalidInputError(
            f"{field} takes {size:,} bytes, more than the {MAX_METADATA_BYTES:,} allowed.", field=field
        )
    return plain


def _check_scalar(value: object, path: str, field: str, *, imported: bool) -> None:
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        check_text(value, field, name=path, allow_nul=imported)
    elif isinstance(value, int):
        if value not in INT64:
            raise InvalidInputError(
                f"{path} is outside the range of 64-bit integers (-2**63 to 2**63 - 1); send it as a text.", field=field
            )
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidInputError(
                f"{path} is {value}, which JSON can't hold; use null or a finite number.", field=field
            )
    else:
        raise InvalidInputError(f"{path} is a {type(value).__name__}, not a JSON value.", field=field)


def json_size(value: JsonValue) -> int:
    """Bytes of a checked value as compact JSON in UTF-8."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def check_name(name: object, field: str) -> str:
    """A short, visible name: stripped, 1 to 128 characters, no control characters."""
    text = check_text(name, field).strip()
    if not text:
        raise InvalidInputError(f"{field} is empty.", field=field)
    if len(text) > MAX_NAME_LENGTH:
        raise InvalidInputError(
            f"{field} has {len(text):,} characters, at most {MAX_NAME_LENGTH} are allowed.", field=field
        )
    if _CONTROL.search(text):
        raise InvalidInputError(f"{field} {text!r} holds a control character.", field=field)
    return text


def check_memory_type(memory_type: str | None) -> str | None:
    """Stripped and lower-cased; None for None and blanks. Any name goes: "note", "decision", ..."""
    if memory_type is None or (isinstance(memory_type, str) and not memory_type.strip()):
        return None
    return check_name(memory_type, "memory_type").lower()


def check_store(store: object) -> str:
    """The store that a memory is put into; "all" means every store and can't be one."""
    name = check_name(store, "store")
    if name.lower() == EVERY_STORE:
        raise InvalidInputError('The store "all" stands for every store: name one to write to.', field="store")
    return name


def check_store_choice(store: str | None) -> str | None:
    """The store to look in: a name, or None for None, blanks and "all", which mean every store."""
    if store is None or (isinstance(store, str) and store.strip().lower() in ("", EVERY_STORE)):
        return None
    return check_name(store, "store")


def check_time(seconds: object, field: str) -> float:
    """UTC seconds from 1970 to 9999."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= LATEST_TIME:
        hint = " It looks like milliseconds: divide it by 1000." if _looks_like_milliseconds(seconds) else ""
        raise InvalidInputError(
            f"{field} must be UTC seconds between 0 and {LATEST_TIME:.0f}, got {seconds!r:.80}.{hint}", field=field
        )
    return float(seconds)


def _looks_like_milliseconds(value: object) -> bool:
    return isinstance(value, int | float) and LATEST_TIME < value <= LATEST_TIME * 1000


def check_query(query: str | None) -> str | None:
    """The text to search for, stripped, at most 8,192 characters; None for None and blanks (no text takes part)."""
    if query is None:
        return None
    text = check_text(query, "query").strip()
    if len(text) > MAX_QUERY_LENGTH:
        raise InvalidInputError(
            f"query has {len(text):,} characters, at most {MAX_QUERY_LENGTH:,} are allowed.", field="query"
        )
    return text or None


def check_limit(limit: object, *, field: str = "limit", maximum: int = MAX_LIMIT) -> int:
    """A whole number from 1 to `maximum`."""
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= maximum:
        raise InvalidInputError(
            f"{field} must be a whole number from 1 to {maximum:,}, got {limit!r:.80}.", field=field
        )
    return limit


def check_threshold(threshold: float | None, *, field: str = "similarity_threshold") -> float | None:
    """A similarity from 0.0 to 1.0, on the scale where unrelated is 0.5; None for none."""
    if threshold is None:
        return None
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
        raise InvalidInputError(f"{field} must be a number from 0.0 to 1.0, got {threshold!r:.80}.", field=field)
    return float(threshold)


def check_vector(vector: Any, dimensions: int) -> Vector:
    """float32[dimensions], finite, not all zero. Raises DimensionMismatchError for another size."""
    import numpy as np  # noqa: PLC0415  (thin clients import the domain, and no numpy)

    array = np.asarray(vector, dtype=np.float32)
    if array.ndim != 1 or array.shape[0] != dimensions:
        raise DimensionMismatchError(expected=dimensions, got=array.shape[-1] if array.ndim else 0)
    if not np.isfinite(array).all():
        raise InvalidInputError("A vector holds NaN or an infinite number.", field="vector")
    if not array.any():
        raise InvalidInputError("A vector is all zeros, which has no direction to compare.", field="vector")
    return array
