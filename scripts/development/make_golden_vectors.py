"""Write tests/data/golden_minilm.npz: what sentence-transformers makes of tests/data/golden_texts.json.

    uv run --extra torch python scripts/development/make_golden_vectors.py

`short` are texts that fit the window; a vector of `long` is the normalised mean of its windows' vectors. float16, which is within
1e-6 of cosine 1 and half the size.
"""

from __future__ import annotations

import argparse
import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer

from mcp_memory.embedding.options import DEFAULT_MODEL
from mcp_memory.embedding.weights import locate_model
from mcp_memory.embedding.windows import WindowSplitter, plain_tokenizer

DATA = Path(__file__).resolve().parents[2] / "tests" / "data"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model-path", type=Path, help="folder with the model's files, where its package isn't installed"
    )
    folder = locate_model(DEFAULT_MODEL, parser.parse_args().model_path)
    texts = json.loads((DATA / "golden_texts.json").read_text("utf-8"))
    model = SentenceTransformer(str(folder), device="cpu")
    splitter = WindowSplitter(plain_tokenizer((folder / "tokenizer.json").read_text("utf-8")), model.max_seq_length)

    too_long = [text for text in texts["short"] if len(splitter.split(text)) > 1]
    if too_long:
        print(f"these don't fit the window: {too_long}", file=sys.stderr)
        return 1
    short = model.encode(texts["short"], batch_size=1, normalize_embeddings=True)
    means = [
        model.encode(splitter.split(text), batch_size=1, normalize_embeddings=True).mean(axis=0)
        for text in texts["long"]
    ]
    long = np.array([mean / np.linalg.norm(mean) for mean in means])
    made_by = f"sentence-transformers {version('sentence-transformers')}, torch {version('torch')}"
    np.savez_compressed(
        DATA / "golden_minilm.npz",
        short=short.astype(np.float16),
        long=long.astype(np.float16),
        made_by=np.array(made_by),
    )
    print(f"{len(short)} short and {len(long)} long texts by {made_by}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
