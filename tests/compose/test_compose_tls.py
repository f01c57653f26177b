"""compose/tls.yaml: TLS ends in front of the service, which believes nothing that clients say about it."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx
import pytest
import trustme
from project import Start, free_port

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("qdrant_image", "proxy_image")]


def test_clients_speak_tls_and_the_service_answers_the_names_it_was_given(start: Start, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("memory.example", "127.0.0.1")
    file = tmp_path / "certificate.pem"
    certificate.private_key_and_cert_chain_pem.write_to_path(file)
    file.chmod(0o644)  # docs/install.md: user 1000 has to read it
    tmp_path.chmod(0o755)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    port = free_port()
    project = start(
        *("compose.yaml", "compose/tls.yaml"),
        TLS_CERTIFICATE=str(file),
        TLS_ADDRESS=f"127.0.0.1:{port}",
        MCP_ALLOWED_HOSTS=f"memory.example:{port}",
    )
    project.up()
    headers = {"Authorization": f"Bearer {project.key()}", "Host": f"memory.example:{port}"}
    with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=trust, headers=headers, timeout=60) as http:
        stored = http.post("/api/memories", json={"content": "Sent over TLS"})
        assert stored.status_code == 200, stored.text
        assert stored.headers["Strict-Transport-Security"]
        assert http.get("/api/memories", headers={"Authorization": "Bearer wrong"}).status_code == 401
        assert http.get("/api/memories", headers={"Host": "elsewhere.example"}).status_code in {400, 403, 421}
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://127.0.0.1:{port}/api/health")
