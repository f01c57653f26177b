"""Concurrent clients that store, change, delete and read over HTTP, and keep a ledger of what they were told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx

from reliability.ledger import Ledger, Stored

T = TypeVar("T")

_WORDS = (
    "harbour lantern quarterly invoice kernel violin glacier budget pasta orchard satellite deadline umbrella engine recipe "
    "contract mountain database garden meeting compiler bicycle novel vaccine bridge thunder museum protein election carpet "
    "falcon pipeline wedding algebra tunnel coffee passport turbine poem insurance beach warehouse piano virus curtain festival"
)
WORDS = _WORDS.split()
MOST_STORED = 2_500
"""Beyond this writers delete more than they store, so that checks stay quick."""


@dataclass
class Load:
    """What all writers share. An answer that crossed a kill may tell of a request that the service repeated."""

    url: str
    ledger: Ledger
    headers: dict[str, str] = field(default_factory=dict)
    kills: int = 0
    """Those that have begun."""
    killing: bool = False
    """The victim is being looked for: it may die now or in a moment."""
    acknowledged: int = 0
    refused: int = 0
    """Answers 503: the storage was away for a moment."""
    goal: int = 0
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when `goal` writes have been acknowledged."""

    def client(self) -> httpx.AsyncClient:
        """For the service as it is now: it may have another address after its next start."""
        return httpx.AsyncClient(base_url=self.url, headers=self.headers, timeout=60)

    def expect(self, writes: int) -> None:
        """Have `reached` set behind so many more acknowledged writes."""
        self.goal = self.acknowledged + writes
        self.reached.clear()

    async def kill_in_the_middle(
        self, kill: Callable[[], T], tasks: Sequence[asyncio.Task[None]], *, after: float, patience: float = 60
    ) -> T:
        """What `kill` returns: called in a thread `after` seconds behind the goal, into whatever `tasks` (the writers) do then.

        At the latest after `patience` seconds, or when a writer has ended, which is a failure that its task tells of.
        """
        reached = asyncio.create_task(self.reached.wait())
        await asyncio.wait([reached, *tasks], timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        reached.cancel()
        await asyncio.sleep(after)
        self.kills, self.killing = self.kills + 1, True
        answer = await asyncio.to_thread(kill)
        self.killing = False
        return answer

    def count_acknowledged(self) -> None:
        self.acknowledged += 1
        if self.acknowledged >= self.goal:
            self.reached.set()


@dataclass
class Writer:
    """One client with texts of its own."""

    name: str
    random: random.Random
    load: Load
    texts: list[str] = field(default_factory=list)
    groups: dict[str, list[str]] = field(default_factory=dict)
    """Texts by the tag that they were stored with in one request."""
    numbers: int = 0

    async def run(self, stop: asyncio.Event, *, until_kill_seen: bool) -> None:
        """Work until told to stop or, where the whole service is to be killed, until it can't be reached.

        With `until_kill_seen` it stops of itself after an operation that was begun and acknowledged behind the kill.
        """
        kills = self.load.kills
        async with self.load.client() as client:
            while not stop.is_set():
                after_kill = self.load.kills > kills and not self.load.killing
                try:
                    await self._operation(client)
                except (httpx.ConnectError, httpx.ConnectTimeout):
                    if not until_kill_seen:
                        return
                    await asyncio.sleep(0.01)
                except httpx.TransportError:
                    if not until_kill_seen:
                        return
                else:
                    if until_kill_seen and after_kill:
                        return

    async def _operation(self, client: httpx.AsyncClient) -> None:
        ledger = self.load.ledger
        self.texts = [text for text in self.texts if not ledger.certain(text) or ledger.state(text) is not None]
        settled = [text for text in self.texts if ledger.certain(text)]
        choice = self.random.random()
        crowded = len(self.texts) * 8 > MOST_STORED
        if not settled or (choice < 0.35 and not crowded):
            await self._store(client)
        elif choice < 0.45 and not crowded:
            await self._store_many(client)
        elif choice < 0.65:
            await self._update(client, self.random.choice(settled))
        elif choice < 0.85:
            await self._delete(client, self.random.choice(settled))
        elif choice < 0.90 and self.groups:
            await self._delete_group(client)
        else:
            await self._read(client, self.random.choice(settled))

    def _new_text(self) -> str:
        self.numbers += 1
        return f"{' '.join(self.random.sample(WORDS, 9))} {self.name}-{self.numbers}"

    async def _store(self, client: httpx.AsyncClient) -> None:
        text, state = self._new_text(), Stored((self.name,), 1)
        answer = await self._write(client, "POST", "/api/memories", {text: state}, {"content": text, **state.body})
        if answer is not None:
            assert answer["success"] or self._crossed, answer
            self._acknowledged({text: state})

    async def _store_many(self, client: httpx.AsyncClient) -> None:
        group = f"{self.name}-group-{self.numbers}"
        state = Stored((self.name, group), 1)
        texts = [self._new_text() for _ in range(self.random.randint(2, 12))]
        self.groups[group] = texts
        body = {"memories": [{"content": text, **state.body} for text in texts]}
        answer = await self._write(client, "POST", "/api/memories/bulk", dict.fromkeys(texts, state), body)
        if answer is not None:
            assert answer["invalid"] == 0, answer
            assert answer["stored"] == len(texts) or self._crossed, answer
            self._acknowledged(dict.fromkeys(texts, state))

    async def _update(self, client: httpx.AsyncClient, text: str) -> None:
        before = self.load.ledger.state(text)
        assert before is not None
        marks = tuple(tag for tag in before.tags if not tag.startswith("version-"))
        state = Stored((*marks, f"version-{before.version + 1}"), before.version + 1)
        path = f"/api/memories/{self.load.ledger.hash_of(text)}"
        answer = await self._write(client, "PUT", path, {text: state}, state.body)
        if answer is not None:
            assert Stored.of(answer["memory"]) == state, answer
            self._acknowledged({text: state})

    async def _delete(self, client: httpx.AsyncClient, text: str) -> None:
        path = f"/api/memories/{self.load.ledger.hash_of(text)}"
        answer = await self._write(client, "DELETE", path, {text: None}, missing_is_fine=True)
        if answer is not None:
            self._acknowledged({text: None})

    async def _delete_group(self, client: httpx.AsyncClient) -> None:
        group = self.random.choice(sorted(self.groups))
        members = self.groups[group]
        ledger = self.load.ledger
        if not all(ledger.certain(text) for text in members):
            return  # of a request that wasn't answered: settled after this round
        there = [text for text in members if ledger.state(text) is not None]
        answer = await self._write(
            client, "POST", "/api/memories/delete", dict.fromkeys(there), {"tags": [group], "tag_match": "all"}
        )
        if answer is not None:
            assert answer["count"] == len(there) or self._crossed, (answer, there)
            self._acknowledged(dict.fromkeys(there))
            del self.groups[group]

    async def _read(self, client: httpx.AsyncClient, text: str) -> None:
        answer = await client.get(f"/api/memories/{self.load.ledger.hash_of(text)}")
        if answer.status_code == 503:
            self.load.refused += 1
            return
        assert answer.status_code == 200, f"{answer.text} for {text!r}, which was acknowledged"
        assert Stored.of(answer.json()) == self.load.ledger.state(text), answer.text

    async def _write(
        self,
        client: httpx.AsyncClient,
        method: str,
        path: str,
        wanted: dict[str, Stored] | dict[str, None],
        body: dict[str, Any] | None = None,
        *,
        missing_is_fine: bool = False,
    ) -> dict[str, Any] | None:
        """The answer where the request was acknowledged; None where it may have happened or not."""
        for text, state in wanted.items():
            self.load.ledger.begin(text, state)
            if text not in self.texts:
                self.texts.append(text)
        kills, killing = self.load.kills, self.load.killing
        answer = await client.request(method, path, json=body)
        self._crossed = killing or self.load.kills > kills
        if answer.status_code == 503:
            assert int(answer.headers["retry-after"]) >= 1
            self.load.refused += 1
            return None
        repeated = missing_is_fine and self._crossed and answer.status_code == 404
        assert answer.status_code == 200 or repeated, f"{method} {path}: {answer.status_code} {answer.text}"
        return dict(answer.json())

    def _acknowledged(self, states: dict[str, Stored] | dict[str, None]) -> None:
        self.load.count_acknowledged()
        for text, state in states.items():
            self.load.ledger.acknowledge(text, state)

    _crossed: bool = False
    """A process was killed while the last request was under way: the service may have sent it to the engine twice."""
