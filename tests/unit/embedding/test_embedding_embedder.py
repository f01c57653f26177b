"""WindowedEmbedder: order, fairness, limits and cancellation, with a provider whose pace the test sets."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mcp_memory.domain.errors import EmbeddingError, StorageBusyError
from mcp_memory.domain.model import ModelIdentity
from mcp_memory.embedding.base import EmbeddingProvider, TextKind
from mcp_memory.embedding.embedder import EmbedderLimits, WindowedEmbedder

if TYPE_CHECKING:
    from numpy.typing import NDArray

pytestmark = pytest.mark.anyio
ONE_THREAD = EmbedderLimits(batch_texts=4, batch_tokens=100_000, express_threads=0, bulk_threads=1, together=1)


def vector(text: str) -> NDArray[np.float32]:
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    drawn = np.random.default_rng(seed).standard_normal(8).astype(np.float32)
    return np.asarray(drawn / np.linalg.norm(drawn), np.float32)


class Paced:
    """Windows are separated by `|`. Each call waits for the gate, and is noted."""

    def __init__(self) -> None:
        self.identity = ModelIdentity("paced", 8, "0" * 64)
        self.gate = threading.Event()
        self.gate.set()
        self.began = threading.Event()
        self.batches: list[list[str]] = []
        self.error: Exception | None = None
        self.closed = 0

    def windows(self, text: str) -> list[str]:
        return text.split("|")

    def embed(self, texts: Sequence[str], kind: TextKind) -> NDArray[np.float32]:  # noqa: ARG002
        self.batches.append(list(texts))
        self.began.set()
        assert self.gate.wait(10)
        if self.error is not None:
            raise self.error
        return np.array([vector(text) for text in texts])

    def close(self) -> None:
        self.closed += 1


async def until(condition: threading.Event) -> None:
    assert await asyncio.to_thread(condition.wait, 10)


async def occupy(embedder: WindowedEmbedder, provider: Paced) -> asyncio.Task[NDArray[np.float32]]:
    """A worker that is in the middle of a batch until the gate opens."""
    provider.gate.clear()
    provider.began.clear()
    task = asyncio.ensure_future(embedder.embed_query("occupied"))
    await until(provider.began)
    return task


async def test_vectors_come_back_in_the_order_of_the_texts_whatever_their_lengths() -> None:
    embedder = WindowedEmbedder(Paced(), limits=ONE_THREAD)
    texts = [str(number) * (1 + number * 37 % 50) for number in range(100)]
    assert np.array_equal(await embedder.embed_documents(texts), np.array([vector(text) for text in texts]))
    assert (await embedder.embed_documents([])).shape == (0, 8)
    await embedder.close()


async def test_batches_hold_texts_of_like_length_within_the_token_budget() -> None:
    provider = Paced()
    limits = EmbedderLimits(batch_texts=32, batch_tokens=120, bulk_threads=1)
    embedder = WindowedEmbedder(provider, limits=limits)
    await embedder.embed_documents([("a" * (400 if number % 2 else 40)) + f"{number:02d}" for number in range(20)])
    assert sorted(len(batch) for batch in provider.batches) == [1] * 10 + [10]
    assert all(len({len(text) for text in batch}) == 1 for batch in provider.batches)
    await embedder.close()


async def test_a_long_text_is_the_normalised_mean_of_its_windows() -> None:
    embedder = WindowedEmbedder(Paced())
    parts = [letter * 60 for letter in "abc"]
    short, long = await embedder.embed_documents(["short", "|".join(parts)])
    mean = np.mean([vector(part) for part in parts], axis=0)
    assert np.allclose(long, mean / np.linalg.norm(mean), atol=1e-6)
    assert np.array_equal(short, vector("short"))
    await embedder.close()


async def test_windows_that_cancel_each_other_out_are_an_error_not_a_nan() -> None:
    class Opposite(Paced):
        def embed(self, texts: Sequence[str], kind: TextKind) -> NDArray[np.float32]:  # noqa: ARG002
            return np.array([np.eye(8, dtype=np.float32)[0] * (1 if text[0] == "a" else -1) for text in texts])

    embedder = WindowedEmbedder(Opposite())
    with pytest.raises(EmbeddingError, match="cancel"):
        await embedder.embed_documents(["a" * 100 + "|" + "b" * 100])
    await embedder.close()


async def test_a_query_goes_before_everything_that_waits_and_a_short_text_before_bulk() -> None:
    provider = Paced()
    embedder = WindowedEmbedder(provider, limits=ONE_THREAD)
    tasks = [await occupy(embedder, provider)]
    tasks.append(asyncio.ensure_future(embedder.embed_documents([f"bulk {number}" for number in range(40)])))
    tasks.append(asyncio.ensure_future(embedder.embed_documents(["short"])))
    await asyncio.sleep(0.05)
    tasks.append(asyncio.ensure_future(embedder.embed_query("query")))
    await asyncio.sleep(0.05)
    provider.gate.set()
    await asyncio.gather(*tasks)
    assert provider.batches[1:3] == [["query"], ["short"]]
    await embedder.close()


async def test_bulk_requests_take_turns_so_that_a_small_one_does_not_wait_for_a_huge_one() -> None:
    provider = Paced()
    embedder = WindowedEmbedder(provider, limits=ONE_THREAD)
    tasks = [await occupy(embedder, provider)]
    tasks.append(asyncio.ensure_future(embedder.embed_documents([f"huge {number:04d}" for number in range(400)])))
    await asyncio.sleep(0.05)
    tasks.append(asyncio.ensure_future(embedder.embed_documents([f"tiny {number:04d}" for number in range(8)])))
    await asyncio.sleep(0.05)
    provider.gate.set()
    await asyncio.gather(*tasks)
    last = max(index for index, batch in enumerate(provider.batches) if batch[0].startswith("tiny"))
    assert last <= 5
    await embedder.close()


async def test_bulk_work_leaves_a_thread_free_for_queries() -> None:
    provider = Paced()
    embedder = WindowedEmbedder(provider, limits=EmbedderLimits(batch_texts=4, express_threads=1, bulk_threads=1))
    held = threading.Event()
    real = provider.embed

    def embed(texts: Sequence[str], kind: TextKind) -> NDArray[np.float32]:
        if texts[0].startswith("bulk"):
            assert held.wait(10)
        return real(texts, kind)

    provider.embed = embed  # type: ignore[method-assign]
    bulk = asyncio.ensure_future(embedder.embed_documents([f"bulk {number}" for number in range(40)]))
    await asyncio.sleep(0.05)
    for number in range(20):
        await asyncio.wait_for(embedder.embed_query(f"query {number}"), 5)
    assert not bulk.done()
    held.set()
    await bulk
    await embedder.close()


async def test_a_full_queue_says_busy_and_takes_work_again_when_it_has_room() -> None:
    provider = Paced()
    limits = EmbedderLimits(batch_texts=4, waiting_windows=10, express_threads=0, bulk_threads=1)
    embedder = WindowedEmbedder(provider, limits=limits)
    running = await occupy(embedder, provider)
    waiting = asyncio.ensure_future(embedder.embed_documents([f"text {number}" for number in range(10)]))
    await asyncio.sleep(0.05)
    with pytest.raises(StorageBusyError, match="at most 10"):
        await embedder.embed_query("one too many")
    provider.gate.set()
    await asyncio.gather(running, waiting)
    assert np.array_equal(await embedder.embed_query("now"), vector("now"))
    await embedder.embed_documents([f"text {number}" for number in range(50)])  # larger than the queue, but alone
    await embedder.close()


async def test_waiting_queries_share_a_call_and_each_gets_its_own_vector() -> None:
    provider = Paced()
    limits = EmbedderLimits(together=4, express_threads=0, bulk_threads=1)
    embedder = WindowedEmbedder(provider, limits=limits)
    tasks = [await occupy(embedder, provider)]
    tasks += [asyncio.ensure_future(embedder.embed_query(f"query {number}")) for number in range(6)]
    tasks.append(asyncio.ensure_future(embedder.embed_documents(["document"])))
    tasks.append(asyncio.ensure_future(embedder.embed_query("long " * 25)))
    await asyncio.sleep(0.05)
    provider.gate.set()
    found = await asyncio.gather(*tasks)
    assert [len(batch) for batch in provider.batches] == [1, 4, 3, 1]
    for number in range(6):
        assert np.array_equal(found[1 + number], vector(f"query {number}"))
    await embedder.close()


async def test_a_text_that_fails_does_not_fail_those_it_shared_a_call_with() -> None:
    class Picky(Paced):
        def embed(self, texts: Sequence[str], kind: TextKind) -> NDArray[np.float32]:
            vectors = super().embed(texts, kind)
            if "bad" in texts:
                raise EmbeddingError("a bad text")
            return vectors

    provider = Picky()
    embedder = WindowedEmbedder(provider, limits=EmbedderLimits(express_threads=0, bulk_threads=1))
    tasks = [await occupy(embedder, provider)]
    tasks += [asyncio.ensure_future(embedder.embed_query(text)) for text in ("good", "bad", "fine")]
    await asyncio.sleep(0.05)
    provider.gate.set()
    _, good, bad, fine = await asyncio.gather(*tasks, return_exceptions=True)
    assert np.array_equal(good, vector("good"))
    assert np.array_equal(fine, vector("fine"))
    assert isinstance(bad, EmbeddingError)
    await embedder.close()


async def test_a_query_that_waited_too_long_is_refused_instead_of_computed() -> None:
    provider = Paced()
    limits = EmbedderLimits(together=1, patience=0.05, express_threads=0, bulk_threads=1)
    embedder = WindowedEmbedder(provider, limits=limits)
    running = await occupy(embedder, provider)
    late = asyncio.ensure_future(embedder.embed_query("late"))
    bulk = asyncio.ensure_future(embedder.embed_documents([f"bulk {number}" for number in range(200)]))
    await asyncio.sleep(0.1)
    provider.gate.set()
    with pytest.raises(StorageBusyError, match="waited"):
        await late
    await asyncio.gather(running, bulk)
    assert ["late"] not in provider.batches
    await embedder.close()


async def test_what_a_caller_that_went_away_asked_for_is_not_computed() -> None:
    provider = Paced()
    embedder = WindowedEmbedder(provider, limits=ONE_THREAD)
    running = await occupy(embedder, provider)
    gone = asyncio.ensure_future(embedder.embed_documents([f"gone {number}" for number in range(40)]))
    await asyncio.sleep(0.05)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    provider.gate.set()
    await running
    await embedder.embed_query("after")
    assert provider.batches == [["occupied"], ["after"]]
    await embedder.close()


async def test_an_error_reaches_its_caller_and_nobody_else() -> None:
    provider = Paced()
    embedder = WindowedEmbedder(provider, limits=ONE_THREAD)
    provider.error = EmbeddingError("the model failed")
    with pytest.raises(EmbeddingError, match="the model failed"):
        await embedder.embed_documents([f"text {number}" for number in range(20)])
    provider.error = None
    assert np.array_equal(await embedder.embed_query("fine"), vector("fine"))
    await embedder.close()


async def test_closing_finishes_what_was_accepted_and_refuses_the_rest() -> None:
    provider = Paced()
    embedder = WindowedEmbedder(provider, limits=ONE_THREAD)
    running = await occupy(embedder, provider)
    closing = asyncio.ensure_future(embedder.close())
    await asyncio.sleep(0.05)
    assert not closing.done()
    with pytest.raises(EmbeddingError, match="stopping"):
        await embedder.embed_query("too late")
    provider.gate.set()
    assert np.array_equal(await running, vector("occupied"))
    await closing
    await embedder.close()
    assert provider.closed == 1
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("embed-")]


async def test_every_call_of_the_model_is_observed() -> None:
    seen: list[tuple[int, float]] = []
    embedder = WindowedEmbedder(Paced(), limits=ONE_THREAD, observe=lambda size, seconds: seen.append((size, seconds)))
    await embedder.embed_documents([f"text {number}" for number in range(10)])
    assert sorted(size for size, _ in seen) == [2, 4, 4]
    assert all(0 <= seconds < 5 for _, seconds in seen)
    await embedder.close()


async def test_the_real_model_gives_a_text_one_vector_whatever_it_is_batched_with(minilm: EmbeddingProvider) -> None:
    embedder = WindowedEmbedder(minilm)
    texts = [f"note {number}: " + "the tide comes in at night " * (number % 12) for number in range(40)]
    together = await embedder.embed_documents(texts)
    alone = np.array([minilm.embed([text], TextKind.DOCUMENT)[0] for text in texts])
    assert float(np.abs(together - alone).max()) < 1e-5
    results = await asyncio.gather(
        *(embedder.embed_query(text) for text in texts), embedder.embed_documents(texts[::-1])
    )
    assert float(np.abs(np.array(results[:-1]) - alone).max()) < 1e-5
    assert float(np.abs(results[-1] - alone[::-1]).max()) < 1e-5


async def test_the_event_loop_runs_on_while_the_real_model_reads_a_long_text(minilm: EmbeddingProvider) -> None:
    embedder = WindowedEmbedder(minilm)
    work = asyncio.ensure_future(embedder.embed_documents(["seven thousand words of nothing " * 400]))
    longest, before = 0.0, time.monotonic()
    while not work.done():
        await asyncio.sleep(0.001)
        longest, before = max(longest, time.monotonic() - before), time.monotonic()
    await work
    assert longest < 0.5
