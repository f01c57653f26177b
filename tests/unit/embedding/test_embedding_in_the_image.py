"""The image makes the model's graph with a part of the code, so that other changes don't make it anew: the part must suffice."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
MOUNT = re.compile(r"--mount=type=bind,source=app/(\S+),target=(\S+)")


def test_what_the_dockerfile_mounts_is_all_that_the_prebuilt_graph_needs(tmp_path: Path) -> None:
    mounts = MOUNT.findall((ROOT / "docker/Dockerfile").read_text(encoding="utf-8"))
    assert ("mcp_memory/embedding", "mcp_memory/embedding") in mounts
    for source, target in mounts:
        given, place = ROOT / "app" / source, tmp_path / target
        place.parent.mkdir(parents=True, exist_ok=True)
        if given.is_dir():
            shutil.copytree(given, place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(given, place)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); "
        "import mcp_memory.embedding.prebuild, mcp_memory; print(mcp_memory.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-I", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path))
