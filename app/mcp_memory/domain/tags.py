"""Tags: words that group memories.

Written as a list, a comma-separated string or a JSON array; kept lower-cased and once each.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence

from mcp_memory.domain.checks import check_text
from mcp_memory.domain.errors import InvalidInputError

MAX_TAGS = 100
MAX_TAG_LENGTH = 256
"""In characters."""
_LONGEST_LIST = 65_536


def parse_tags(raw: str | Sequence[str] | None, *, field: str = "tags", imported: bool = False) -> tuple[str, ...]:
    """Stripped, lower-cased, deduplicated, in the order given; blanks are dropped. () for None.

    Raises InvalidInputError for a comma or control character inside a tag, invalid Unicode, more than 100 tags or 256 characters
    in one; `imported` lifts the last two. "untagged" is a tag like any other: kept, never added.
    """
    items = _items(raw, field)
    if len(items) > MAX_TAGS and not imported:
        raise InvalidInputError(f"{field} has {len(items):,} tags, at most {MAX_TAGS} are allowed.", field=field)
    tags = (_tag(item, field, imported=imported) for item in items)
    return tuple(dict.fromkeys(tag for tag in tags if tag))


def _items(raw: str | Sequence[str] | None, field: str) -> list[object]:
    if raw is None:
        return []
    if isinstance(raw, str):
        text = raw.strip()
        if text.startswith("[") and text.endswith("]"):
            return _json_array(text, field)
        return list(text.split(","))
    if isinstance(raw, list | tuple | set | frozenset):
        return list(raw)
    raise InvalidInputError(
        f"{field} must be a list of texts or a comma-separated text, got {type(raw).__name__}.", field=field
    )


def _json_array(text: str, field: str) -> list[object]:
    """A JSON array, or a list as Python writes it ("['boiler', 'house']"), which older databases hold."""
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        pythons = _python_list(text)
        if pythons is not None:
            return pythons
        raise InvalidInputError(
            f'{field} looks like a JSON array but isn\'t one: write ["a", "b"], or a, b without brackets.', field=field
        ) from None
    return list(parsed)


def _python_list(text: str) -> list[object] | None:
    if len(text) > _LONGEST_LIST:
        return None
    try:
        parsed = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    return parsed if isinstance(parsed, list) else None


def _tag(item: object, field: str, *, imported: bool) -> str:
    tag = check_text(item, field, name=f"a tag in {field}").strip().lower()
    if "," in tag:
        raise InvalidInputError(f"The tag {tag[:80]!r} holds a comma: commas separate tags.", field=field)
    if any(character < " " or "\x7f" <= character <= "\x9f" for character in tag):
        raise InvalidInputError(f"The tag {tag[:80]!r} holds a control character.", field=field)
    if len(tag) > MAX_TAG_LENGTH and not imported:
        raise InvalidInputError(
            f"The tag {tag[:40]!r}... has {len(tag):,} characters, at most {MAX_TAG_LENGTH} are allowed.", field=field
        )
    return tag
