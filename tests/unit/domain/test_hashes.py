"""What names a memory, and what can't."""

from __future__ import annotations

import pytest

from mcp_memory.domain.errors import InvalidInputError, MemoryNotFoundError
from mcp_memory.domain.foreign import RawMemory, convert
from mcp_memory.domain.foreign_notes import IMPORTED_KEY, Note
from mcp_memory.domain.hashes import MAX_HASH_LENGTH, can_be_kept, check_content_hash, nothing_named, spellings
from mcp_memory.domain.memory import content_hash

HASH = content_hash("text")


def test_hash_is_taken_in_any_case_and_with_blanks() -> None:
    assert HASH in spellings(f" {HASH.upper()}\n")
    assert spellings(HASH.upper())[0] == HASH.upper()  # stored in upper case, it is found as it is
    assert HASH.upper() in spellings(HASH)


@pytest.mark.parametrize(
    "id_", ["assoc_1", "insight_2024-01-01", HASH[:-1], "g" * 64, "a/b?c#d%", "ключ 7", " padded "]
)
def test_an_id_of_another_store_is_a_name_as_it_is(id_: str) -> None:
    assert check_content_hash(id_) == id_
    assert spellings(id_)[0] == id_
    assert can_be_kept(id_)


@pytest.mark.parametrize("text", ["", " \n", "x" * (MAX_HASH_LENGTH + 1), "a\0b", "\ud800", None, 7])
def test_what_can_be_no_name_is_refused_by_name(text: object) -> None:
    with pytest.raises(InvalidInputError) as caught:
        spellings(text)
    assert caught.value.field == "content_hash"


@pytest.mark.parametrize("unnameable", [".", "..", "hashes", "two\nlines", "\x1b[2J", "x" * 600, "\ud800"])
def test_an_id_that_no_path_could_hold_is_replaced_on_the_way_in_and_kept(unnameable: str) -> None:
    memory, notes = convert(RawMemory("text", unnameable), fallback_time=1.0)
    assert memory.content_hash == HASH
    assert Note.HASH_UNUSABLE in notes
    assert memory.metadata[IMPORTED_KEY]["content_hash"]


@pytest.mark.parametrize(
    "name", [HASH, HASH.upper(), "assoc_12", "insight_x", "3f2b8c1e-9a44-4f6e-8d2b-1c5e7a9b0d13", "a:b/c"]
)
def test_what_looks_like_a_hash_or_an_id_is_unknown(name: str) -> None:
    assert isinstance(nothing_named(name), MemoryNotFoundError)


@pytest.mark.parametrize("slip", ["nonsense", "abc", HASH[:-1], f"{HASH}0", "g" * 64, "12", "../" * 20])
def test_a_slip_is_malformed_and_told_how_hashes_look(slip: str) -> None:
    with pytest.raises(InvalidInputError, match="64 hexadecimal digits"):
        raise nothing_named(slip)
