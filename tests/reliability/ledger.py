"""What clients know about a store that may be killed at any time: for each text the states it can be in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from mcp_memory.domain.memory import content_hash


@dataclass(frozen=True, slots=True)
class Stored:
    """The parts of a memory that change."""

    tags: tuple[str, ...]
    version: int

    @property
    def body(self) -> dict[str, Any]:
        return {"tags": list(self.tags), "metadata": {"version": self.version}}

    @classmethod
    def of(cls, memory: dict[str, Any]) -> Stored:
        return cls(tuple(memory["tags"]), memory["metadata"]["version"])


State: TypeAlias = Stored | None
"""None: not stored."""


class Ledger:
    """One state where the last operation on a text was acknowledged; two where it wasn't, since it may have happened or not.

    A text belongs to one writer, so its operations have an order.
    """

    def __init__(self) -> None:
        self._possible: dict[str, frozenset[State]] = {}
        self._hashes: dict[str, str] = {}

    def begin(self, text: str, wanted: State) -> None:
        self._hashes[text] = content_hash(text)
        self._possible[text] = self._possible.get(text, frozenset({None})) | {wanted}

    def acknowledge(self, text: str, state: State) -> None:
        self._possible[text] = frozenset({state})

    def observe(self, text: str, state: State) -> None:
        """Settle an operation that wasn't acknowledged. Fails where neither of its outcomes is there."""
        assert state in self._possible[text], f"{text!r} is {state}, possible was {set(self._possible[text])}"
        self._possible[text] = frozenset({state})

    def certain(self, text: str) -> bool:
        return len(self._possible[text]) == 1

    def state(self, text: str) -> State:
        (state,) = self._possible[text]
        return state

    def hash_of(self, text: str) -> str:
        return self._hashes[text]

    @property
    def uncertain(self) -> list[str]:
        return [text for text in self._possible if not self.certain(text)]

    @property
    def stored(self) -> dict[str, Stored]:
        """Every text that must be there. Only when nothing is uncertain."""
        return {text: state for text in self._possible if (state := self.state(text)) is not None}

    def compare(self, memories: Iterable[dict[str, Any]]) -> None:
        """Fails unless exactly the stored texts are there, each with its payload and its hash, and once."""
        expected = self.stored
        found = [(memory["content"], memory) for memory in memories]
        there = dict(found)
        lost = sorted(expected.keys() - there.keys())
        back = sorted(there.keys() - expected.keys())
        assert not lost, f"{len(lost)} acknowledged memories are lost, among them {lost[:3]}"
        assert not back, f"{len(back)} memories came back or appeared, among them {back[:3]}"
        assert len(found) == len(there), "a memory is listed twice"
        for text, memory in there.items():
            assert memory["content_hash"] == self._hashes[text], memory
            assert Stored.of(memory) == expected[text], memory
