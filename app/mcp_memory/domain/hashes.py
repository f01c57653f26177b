"""What names a memory: its content hash or, where another store gave it one, that store's own id, kept verbatim.

Older releases of the original stored Chroma ids, `assoc_...`, `insight_...` and upper-case hex. Whatever is stored can be named.
What is not stored is unknown (HTTP 404) where it has the form of a hash or of another store's id, else malformed (422).
"""

from __future__ import annotations

import re

from mcp_memory.domain.checks import check_text
from mcp_memory.domain.errors import InvalidInputError, MemoryNotFoundError, MemoryServiceError

MAX_HASH_LENGTH = 512
"""In characters: even percent-encoded it fits into a request line."""
_COMPUTED = re.compile(r"[0-9a-fA-F]{64}")
_PART_OF_A_HASH = re.compile(r"[0-9a-fA-F]+")
_HEX_OF_A_UUID = 32
_ID = re.compile(r"(?s:(?=.*[^\W\d_])(?=.*[\d_:-]).{4,})")
"""Letters with digits, underscores, dashes or colons among them: `assoc_...`, a UUID, `note:7`. No word, no number."""
_UNFIT_FOR_PATHS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_TAKEN = frozenset({".", "..", "hashes"})
"""Clients resolve the first two in a path, and /api/memories/hashes is another question."""


def check_content_hash(hash_: object) -> str:
    """The name of a memory, unchanged. Raises InvalidInputError for what can be none: blank, too long, no Unicode, with NUL."""
    text = check_text(hash_, "content_hash")
    if not text.strip():
        raise InvalidInputError("A content hash is empty: it is 64 hexadecimal digits.", field="content_hash")
    if len(text) > MAX_HASH_LENGTH:
        raise InvalidInputError(
            f"A content hash is 64 hexadecimal digits (or an id of another store, at most {MAX_HASH_LENGTH} characters), "
            f"got {len(text):,} characters.",
            field="content_hash",
        )
    return text


def spellings(hash_: object) -> tuple[str, ...]:
    """Under which hashes the named memory may be stored, the likeliest first: as written, without blanks, hex in either case.

    Raises InvalidInputError as check_content_hash.
    """
    text = check_content_hash(hash_)
    plain = text.strip()
    cases = (plain.lower(), plain.upper()) if is_computed(plain) else ()
    return tuple(dict.fromkeys((text, plain, *cases)))


def is_computed(hash_: str) -> bool:
    """Whether it has the form of a hash that this service computes: 64 hexadecimal digits, here in either case."""
    return _COMPUTED.fullmatch(hash_) is not None


def has_the_form(name: str) -> bool:
    """Whether it looks like a hash or an id: of a slip ("nonsense", a hash without its last digit) a person is told more."""
    plain = name.strip()
    if _PART_OF_A_HASH.fullmatch(plain):
        return is_computed(plain) or len(plain) == _HEX_OF_A_UUID
    return _ID.fullmatch(plain) is not None


def nothing_named(name: str) -> MemoryServiceError:
    """The error for a checked name under which nothing is stored."""
    return MemoryNotFoundError(name) if has_the_form(name) else malformed(name)


def malformed(name: str) -> InvalidInputError:
    return InvalidInputError(
        f"A content hash is 64 hexadecimal digits, got {name[:80]!r}; nor is that the id of a memory from another store.",
        field="content_hash",
    )


def can_be_kept(hash_: str) -> bool:
    """Whether a name of another store works everywhere here, paths of URLs included; migration replaces one that doesn't."""
    try:
        check_content_hash(hash_)
    except InvalidInputError:
        return False
    return hash_.strip() not in _TAKEN and not _UNFIT_FOR_PATHS.search(hash_)
