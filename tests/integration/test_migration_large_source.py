"""A large database is read in bounded memory, at a rate that leaves the target the bottleneck."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from mcp_memory.migration.sources.sqlite import SqliteSource
from original_databases import build_large, open_original

READER = textwrap.dedent(
    """
    import json, re, sys, time
    from pathlib import Path
    from mcp_memory.migration.sources.sqlite import SqliteSource

    with SqliteSource(Path(sys.argv[1])) as source:
        report = source.inspect()
        started, cpu = time.perf_counter(), time.process_time()
        read = with_vector = 0
        for batch in source.read(batch_size=500):
            read += len(batch.memories)
            with_vector += sum(item.vector is not None for item in batch.memories)
        print(json.dumps({
            "live": report.live, "read": read, "with_vector": with_vector,
            "seconds": time.perf_counter() - started, "cpu": time.process_time() - cpu,
            "megabytes": int(re.search(r"VmHWM:\\s+([0-9]+) kB", Path("/proc/self/status").read_text())[1]) / 1024,
        }))
    """
)


def test_vectors_laid_out_by_the_test_are_what_the_extension_finds(tmp_path: Path) -> None:
    """The large database below is a real one: vec0 finds in it what the source reads."""
    path = build_large(tmp_path / "sqlite_vec.db", 1_500, dimensions=8)
    with SqliteSource(path) as source:
        wanted = next(item for batch in source.read() for item in batch.memories if item.cursor == 1_300)
    assert wanted.vector is not None

    with open_original(path) as connection:
        found = connection.execute(
            "SELECT rowid, distance FROM memory_embeddings WHERE content_embedding MATCH ? AND k = 1",
            (np.asarray(wanted.vector, dtype="<f4").tobytes(),),
        ).fetchone()
    assert found is not None
    assert found[0] == 1_300
    assert found[1] == pytest.approx(0, abs=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc: run this test on Linux")
def test_200_000_memories_are_read_within_200_megabytes(tmp_path: Path) -> None:
    path = build_large(tmp_path / "sqlite_vec.db", 200_000)

    # getrusage would not do: its peak is that of the test runner, which the new process was for a moment before exec
    done = subprocess.run([sys.executable, "-c", READER, str(path)], capture_output=True, text=True, check=True)

    figures = json.loads(done.stdout)
    print(f"{figures['read'] / figures['seconds']:,.0f} memories/s, {figures['megabytes']:.0f} MB: {figures}")
    assert figures["live"] == figures["read"] == figures["with_vector"] == 200_000
    assert figures["megabytes"] < 200
