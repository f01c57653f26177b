"""What a build is given, and what it says about itself afterwards."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import httpx
import pytest

from engine import Engine, required

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
CONTEXT_BYTES = 5_000_000


def test_context_of_a_build_stays_small_and_holds_no_secret(tmp_path: Path) -> None:
    required("TEST_IMAGE")
    subprocess.run(
        ["docker", "buildx", "build", "--quiet", "--file", "-", "--output", f"type=local,dest={tmp_path}", str(ROOT)],
        input=b"FROM scratch\nCOPY . /\n",
        check=True,
        capture_output=True,
    )
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < CONTEXT_BYTES
    names = {str(path.relative_to(tmp_path)) for path in files}
    assert "app/mcp_memory/__init__.py" in names
    assert not [name for name in names if name == ".env" or name.startswith((".git/", ".venv/", ".uv/"))]


def test_service_tells_which_commit_and_flavour_it_was_built_from(engine: Engine) -> None:
    container = engine.run(options=["--publish", "127.0.0.1::8000"])
    container.wait_healthy()
    key = container.execute("memory", "key").strip()
    health = httpx.get(
        f"{container.url()}/api/health/detailed", headers={"Authorization": f"Bearer {key}"}, timeout=60
    ).json()
    labels = engine.image.config()["Labels"]
    told = json.dumps(health)
    assert labels["org.opencontainers.image.revision"] in told
    assert f'"version": "{labels["org.opencontainers.image.version"]}"' in told
    assert '"image": "onnx"' in told
