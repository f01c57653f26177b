"""A Qdrant server that speaks TLS, with a certificate of an authority that only MCP_QDRANT_CA_FILE knows."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from mcp_memory.domain.errors import ConfigurationError, StorageUnavailableError
from mcp_memory.domain.query import EVERYTHING, SearchMode, SearchQuery
from mcp_memory.storage.qdrant_server.backend import QdrantServerStorage
from mcp_memory.storage.qdrant_server.options import ServerOptions
from qdrant_server import QdrantServer, own_server
from storage_samples import MODEL, collection, vector

pytestmark = pytest.mark.anyio
KEY = "a-key-for-the-test"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QdrantServer]:
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
    for number, part in enumerate(certificate.cert_chain_pems):
        part.write_to_path(str(folder / "cert.pem"), append=number > 0)
    environment = {
        "QDRANT__SERVICE__ENABLE_TLS": "true",
        "QDRANT__TLS__CERT": "./cert.pem",
        "QDRANT__TLS__KEY": "./key.pem",
    }
    with own_server(folder, api_key=KEY, environment=environment, authority=folder / "ca.pem") as server:
        yield server


@pytest.fixture
def options(server: QdrantServer, tmp_path: Path) -> ServerOptions:
    alias = f"tls_{tmp_path.name}"
    return ServerOptions((server.url,), MODEL, alias=alias, api_key=KEY, ca_file=server.authority)


async def test_everything_goes_over_tls_backups_too(options: ServerOptions, tmp_path: Path) -> None:
    assert options.where.startswith("https://")
    storage = QdrantServerStorage(options)
    await storage.initialize()
    await storage.upsert(collection(50))
    assert len(await storage.search(SearchQuery(SearchMode.HYBRID, "kernel", vector(1), limit=5))) == 5
    assert (await storage.stats()).vectors_count == 50
    await storage.backup(tmp_path / "backup")
    assert (await storage.restore(tmp_path / "backup")).memories == 50
    assert await storage.count(EVERYTHING) == 50
    await storage.close()


async def test_a_certificate_that_is_not_trusted_is_named_with_the_setting(options: ServerOptions) -> None:
    storage = QdrantServerStorage(replace(options, ca_file=None))
    await storage.initialize()
    with pytest.raises(StorageUnavailableError, match="isn't trusted") as caught:
        await storage.count(EVERYTHING)
    assert "MCP_QDRANT_CA_FILE" in caught.value.message
    await storage.close()


async def test_a_certificate_for_another_host_is_refused(options: ServerOptions, server: QdrantServer) -> None:
    elsewhere = replace(options, urls=(f"https://127.0.0.2:{server.http_port}",))
    storage = QdrantServerStorage(elsewhere)
    await storage.initialize()
    health = await storage.health()
    assert not health.healthy
    await storage.close()


@pytest.mark.parametrize("content", [None, "this is no certificate"])
async def test_a_ca_file_that_cannot_be_used_is_a_mistake_in_the_settings(
    options: ServerOptions, tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_text(content)
    storage = QdrantServerStorage(replace(options, ca_file=tmp_path / "ca.pem"))
    with pytest.raises(ConfigurationError, match=r"MCP_QDRANT_CA_FILE=.*ca\.pem can't be used"):
        await storage.initialize()


@pytest.mark.slow
@pytest.mark.parametrize("grpc", [False, True], ids=["REST", "gRPC"])
def test_memory_init_reaches_the_server_by_the_documented_settings(
    server: QdrantServer, tmp_path: Path, grpc: bool
) -> None:
    variables = {
        "MCP_QDRANT_URL": server.url,
        "MCP_QDRANT_API_KEY": KEY,
        "MCP_QDRANT_COLLECTION": "tls_init_grpc" if grpc else "tls_init",
        "MCP_QDRANT_CA_FILE": str(server.authority),
        "MCP_MEMORY_BASE_DIR": str(tmp_path / "base"),
    }
    if grpc:
        variables |= {"MCP_QDRANT_PREFER_GRPC": "true", "MCP_QDRANT_GRPC_PORT": str(server.grpc_port)}
    done = subprocess.run(
        [sys.executable, "-m", "mcp_memory.cli", "init"],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "is ready at https://" in done.stdout
    assert KEY not in done.stdout + done.stderr
