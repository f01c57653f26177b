"""What a model reads: numbered blocks with hash, time and tags, within the length it asked for."""

from __future__ import annotations

from mcp_memory.domain.memory import Memory, ScoredMemory
from mcp_memory.mcp.render import block, fitting, hits_text, memory_object


def hit(content: str, **fields: object) -> ScoredMemory:
    values: dict[str, object] = {"content_hash": "ab" * 32, "created_at": 0.0, "updated_at": 0.0, **fields}
    return ScoredMemory(Memory(content=content, **values), score=1.0, similarity_score=0.75)  # type: ignore[arg-type]


def test_a_block_has_text_hash_time_and_tags() -> None:
    assert block(3, hit("Tea at five", tags=("tea", "habits"), memory_type="note")) == (
        "3. Tea at five\n"
        f"   Hash: {'ab' * 32}\n"
        "   Created: 1970-01-01T00:00:00.000000Z\n"
        "   Similarity: 0.75\n"
        "   Type: note\n"
        "   [tea, habits]"
    )


def test_a_memory_without_a_type_has_no_such_field() -> None:
    assert "memory_type" not in memory_object(hit("x").memory)
    assert memory_object(hit("x", memory_type="note").memory)["memory_type"] == "note"


def test_an_answer_keeps_whole_memories_within_its_length() -> None:
    hits = [hit("a" * 100), hit("b" * 100), hit("c" * 100)]
    one = len(block(1, hits[0])) + 2
    assert fitting(hits, 0) == hits
    assert fitting(hits, 2 * one) == hits[:2]
    assert fitting([], 10) == []


def test_the_first_memory_is_cut_rather_than_left_out() -> None:
    (only,) = fitting([hit("a" * 10_000), hit("b")], 500)
    text = block(1, only)
    assert len(text) <= 500
    assert only.memory.content.endswith("[...]")


def test_what_was_left_out_is_counted() -> None:
    assert hits_text("Found 3 memories", [hit("a")], left_out=2).endswith("(2 more left out: max_response_chars)")
