"""A program, not a module: the default model behind an OpenAI-compatible endpoint, on port 8080.

`EmbeddingEndpoint` starts it in a container of the service's image for this machine's own architecture.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from mcp_memory.embedding.options import EmbeddingOptions
from mcp_memory.embedding.select import build_embedder

PORT = 8080
NAME = re.compile(r"all-MiniLM-L6-v2(?:-first-(?P<dimensions>\d+))?")
"""`all-MiniLM-L6-v2-first-256`: of the default model's vectors the first 256 dimensions, normalised again."""


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    app.state.embedder = build_embedder(EmbeddingOptions())
    yield
    await app.state.embedder.close()


async def embeddings(request: Request) -> JSONResponse:
    asked = await request.json()
    name = NAME.fullmatch(asked["model"])
    if name is None:
        return JSONResponse({"error": {"message": f"no model {asked['model']} here"}}, status_code=404)
    vectors = await request.app.state.embedder.embed_documents(asked["input"])
    if name["dimensions"]:
        vectors = vectors[:, : int(name["dimensions"])]
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    data = [{"index": number, "embedding": vector.tolist()} for number, vector in enumerate(vectors)]
    return JSONResponse({"model": asked["model"], "data": data})


async def ready(_request: Request) -> JSONResponse:
    return JSONResponse({"status": "ok"})


if __name__ == "__main__":
    routes = [Route("/v1/embeddings", embeddings, methods=["POST"]), Route("/readyz", ready)]
    uvicorn.run(Starlette(routes=routes, lifespan=lifespan), host="0.0.0.0", port=PORT, log_level="warning")
