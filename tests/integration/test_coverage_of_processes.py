"""`make coverage` counts every process of the service, not only the one that a test starts."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from coverage import CoverageData

from integration.memory_server import memory_server

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]


def measured_by(folder: Path) -> dict[int, set[str]]:
    """Module files that ran more than their definitions, by process id (which the names of the data files hold)."""
    found: dict[int, set[str]] = {}
    for file in folder.glob("data.*"):
        data = CoverageData(str(file))
        data.read()
        pid = next(int(part.removeprefix("pid")) for part in file.name.split(".") if part.startswith("pid"))
        found.setdefault(pid, set()).update(Path(name).name for name in data.measured_files() if data.lines(name))
    return found


def test_master_worker_and_engine_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "coverage"
    data.mkdir()
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)  # of the run that counts this test
    counting = {"COVERAGE_PROCESS_START": str(ROOT / "pyproject.toml"), "COVERAGE_FILE": str(data / "data")}
    with memory_server(tmp_path / "store", **counting) as server, server.client() as client:
        client.post("/api/memories", json={"content": "counted"}).raise_for_status()
        master = psutil.Process(server.process.pid)
        (worker,) = master.children()
        (engine,) = worker.children()
        client.close()
        server.stop()
        psutil.wait_procs([engine], timeout=30)
    counted = measured_by(data)
    assert "gunicorn_server.py" in counted[master.pid]
    assert {"app.py", "memories.py", "store.py"} <= counted[worker.pid]
    assert {"engine.py", "collection.py"} <= counted[engine.pid]
