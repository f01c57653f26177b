"""Make a graph folder to ship: `python -m mcp_memory.embedding.prebuild FOLDER [--model NAME] [--model-path FOLDER] [--half]`.

Point MCP_EMBEDDING_MODEL_PATH at it: a service then needs neither the model's own files nor a cache that it can write.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from mcp_memory.domain.errors import MemoryServiceError
from mcp_memory.embedding.graph_folder import Manifest, build_graph_folder, hash_weights
from mcp_memory.embedding.options import DEFAULT_MODEL
from mcp_memory.embedding.weights import locate_model

_FOR_EVERYONE = 0o644
"""The user that serves isn't the one that builds."""


def prebuild(target: Path, model: str = DEFAULT_MODEL, *, source: Path | None = None, half: bool = False) -> Manifest:
    """Write the model's graph folder to `target`, which must not exist yet. Files are readable for everyone.

    Raises ConfigurationError or EmbeddingError where the model can't be found or has no graph.
    """
    folder = locate_model(model, source)
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        manifest = build_graph_folder(folder, work, model, half=half, weights_sha256=hash_weights(folder, model))
        for path in work.iterdir():
            path.chmod(_FOR_EVERYONE)
        work.chmod(0o755)
        work.rename(target)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    return manifest


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m mcp_memory.embedding.prebuild", description=__doc__)
    parser.add_argument("folder", type=Path, help="made by this command")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--model-path", type=Path, default=None, help="folder with the model's files, as on the Hub")
    parser.add_argument("--half", action="store_true", help="float16 weights: half the size, cosine 0.99999 to float32")
    options = parser.parse_args()
    try:
        manifest = prebuild(options.folder, options.model, source=options.model_path, half=options.half)
    except (MemoryServiceError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{manifest.model}: {manifest.dimensions} dimensions, {options.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
