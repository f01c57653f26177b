"""`memory healthcheck`: is the server of these settings healthy? Standard library only: containers run it every few seconds."""

from __future__ import annotations

import http.client
import json

from mcp_memory.environment import value_of

TIMEOUT_SECONDS = 5.0
EX_UNAVAILABLE = 69


def healthcheck(*, as_json: bool = False) -> int:
    """Print the health in a line; 0 when healthy, 69 when not or not there, 78 when the port is none."""
    host = value_of("MCP_HTTP_HOST") or "127.0.0.1"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "[::]": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    host = host.removeprefix("[").removesuffix("]")
    prefix = "/" + (value_of("MCP_HTTP_ROOT_PATH") or "").strip().strip("/")
    prefix = prefix.rstrip("/")
    try:
        port = int(value_of("MCP_HTTP_PORT") or 8000)
    except ValueError:
        print("MCP_HTTP_PORT is not a number")
        return 78
    status, report = _ask(host, port, f"{prefix}/api/health")
    if as_json:
        print(json.dumps(report))
    else:
        storage = report.get("storage")
        where = f"{host}:{port}"
        word = storage.get("status") if isinstance(storage, dict) else report.get("error", report.get("status"))
        print(f"{report.get('status', 'unavailable')}: {where}: {word}")
    return 0 if status == 200 else EX_UNAVAILABLE


def _connection(host: str, port: int) -> http.client.HTTPConnection:
    if (value_of("MCP_HTTPS_ENABLED") or "").strip().lower() not in {"1", "true", "yes", "on", "t", "y"}:
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    import ssl  # noqa: PLC0415 - costs time, and most have none

    # The certificate names the service as others reach it, not this address, and nothing secret is sent.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=context)


def _ask(host: str, port: int, target: str) -> tuple[int, dict[str, object]]:
    connection = _connection(host, port)
    try:
        connection.request("GET", target)
        response = connection.getresponse()
        report = json.loads(response.read())
        return response.status, report if isinstance(report, dict) else {}
    except (OSError, http.client.HTTPException, ValueError) as error:
        return 0, {"status": "unavailable", "error": str(error)}
    finally:
        connection.close()
