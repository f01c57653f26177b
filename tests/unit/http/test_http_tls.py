"""HTTPS on the TCP socket, from certificate and key of the settings; the local socket stays as it is."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme
import uvloop
from served import LIMITS, served
from starlette.responses import JSONResponse, PlainTextResponse

from mcp_memory.config import load_settings
from mcp_memory.domain.errors import ConfigurationError
from mcp_memory.http.tls import Certificate, certificate_of

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).resolve().parents[3]
ASK = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def files(authority: trustme.CA, tmp_path: Path) -> dict[str, Any]:
    certificate = authority.issue_cert("localhost")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    return {
        "https_enabled": True,
        "https_certificate_file": str(tmp_path / "cert.pem"),
        "https_key_file": str(tmp_path / "key.pem"),
    }


async def scheme(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse(scope["scheme"])(scope, receive, send)


async def ask_all(folder: Path, files: dict[str, Any], authority: trustme.CA) -> None:
    trusts = ssl.create_default_context()
    authority.configure_trust(trusts)
    async with served(scheme, folder, tls=certificate_of(load_settings(**files))) as service:

        async def ask() -> bytes:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", service.port, ssl=trusts, server_hostname="localhost"
            )
            writer.write(ASK)
            answer = await reader.read()
            writer.close()
            return answer

        async with asyncio.timeout(30):
            silent = [await service.connect() for _ in range(2 * LIMITS.tcp)]  # they say nothing, and make room
            for _ in range(3):
                answers = await asyncio.gather(*(ask() for _ in range(20)))
                assert {answer[9:12] + answer[-5:] for answer in answers} == {b"200https"}
            assert (await service.ask(ASK, "unix")).endswith(b"http")
            plain = await service.ask(ASK)
        assert b"HTTP" not in plain
        for _, writer in silent:
            writer.close()


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_https_is_served_over_tcp_and_no_tls_on_the_local_socket(
    loop: Any, files: dict[str, Any], authority: trustme.CA, tmp_path: Path
) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(ask_all(tmp_path, files, authority))


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"https_key_file": None}, "MCP_SSL_KEY_FILE"),
        ({"https_certificate_file": None}, "MCP_SSL_CERT_FILE"),
        ({"https_enabled": False}, "MCP_HTTPS_ENABLED"),
        ({"https_key_file": "/nowhere/key.pem"}, "MCP_SSL_KEY_FILE=/nowhere/key.pem"),
        ({"https_certificate_file": "/nowhere/cert.pem"}, "MCP_SSL_CERT_FILE=/nowhere/cert.pem"),
    ],
)
def test_tls_that_is_not_whole_ends_the_start(files: dict[str, Any], changed: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        certificate_of(load_settings(**files | changed))


def test_a_key_of_another_certificate_ends_the_start(
    files: dict[str, Any], authority: trustme.CA, tmp_path: Path
) -> None:
    authority.issue_cert("other").private_key_pem.write_to_path(tmp_path / "key.pem")
    with pytest.raises(ConfigurationError, match="MCP_SSL_KEY_FILE"):
        certificate_of(load_settings(**files))


def shown(port: int) -> bytes:
    return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(("127.0.0.1", port), timeout=10))


async def test_a_renewed_certificate_is_shown_without_a_restart(
    files: dict[str, Any], authority: trustme.CA, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As certbot renews: the certificate first, then its key; in between they don't fit."""
    now = 0.0
    kept, key = Path(files["https_certificate_file"]), Path(files["https_key_file"])
    certificate = Certificate(kept, key, clock=lambda: now)
    first = in_file(kept)
    renewed = authority.issue_cert("localhost")
    async with served(scheme, tmp_path, tls=certificate) as service:
        assert await asyncio.to_thread(shown, service.port) == first
        replaced(kept, renewed.cert_chain_pems[0])
        now += 11
        assert await asyncio.to_thread(shown, service.port) == first
        assert "the certificate before is kept" in capsys.readouterr().out
        replaced(key, renewed.private_key_pem)
        now += 5
        assert await asyncio.to_thread(shown, service.port) == first  # looked at every ten seconds at most
        now += 6
        assert await asyncio.to_thread(shown, service.port) == in_file(kept) != first
        assert "the certificate was renewed" in capsys.readouterr().out
        await asyncio.to_thread(kept.unlink)
        now += 11
        assert await asyncio.to_thread(shown, service.port) != first
        assert "can't be read" in capsys.readouterr().out


def in_file(certificate: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(certificate.read_text())


def replaced(file: Path, blob: trustme.Blob) -> None:
    fresh = file.with_suffix(".new")
    blob.write_to_path(fresh)
    fresh.replace(file)


@pytest.mark.parametrize(
    "command", [["docker/healthcheck.py"], ["-m", "mcp_memory.cli", "healthcheck"]], ids=["image", "memory"]
)
async def test_the_health_checks_ask_by_https(files: dict[str, Any], tmp_path: Path, command: list[str]) -> None:
    async def healthy(scope: Any, receive: Any, send: Any) -> None:
        await JSONResponse({"status": "ok", "storage": {"status": "healthy"}})(scope, receive, send)

    async with served(healthy, tmp_path, tls=certificate_of(load_settings(**files))) as service:
        address = tmp_path / "address"
        await asyncio.to_thread(address.write_text, f"https://127.0.0.1:{service.port}/mem")
        environment = {
            "MCP_ADDRESS_FILE": str(address),
            "MCP_HTTPS_ENABLED": "true",
            "MCP_HTTP_PORT": str(service.port),
        }
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, *command],
            cwd=ROOT,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("ok")
