"""The container's health check: does the service answer /readyz on the address it says it listens on?

Run as `python3 -I -S healthcheck.py`: nothing but the standard library, and of that only `socket`, because this runs every
few seconds for as long as the container lives. Ends with 0 or 1; what it prints stands in `docker inspect`.
"""

import os
import socket
import sys

TIMEOUT_SECONDS = 5.0


def check() -> str | None:
    """What is wrong, or None."""
    try:
        with open(os.environ["MCP_ADDRESS_FILE"], encoding="utf-8") as file:  # noqa: PTH123 - pathlib costs 10 ms
            url = file.read().strip()
    except OSError:
        return "the service doesn't answer yet"
    scheme, _, address = url.partition("://")
    authority, _, root = address.partition("/")
    host, _, port = authority.rpartition(":")
    prefix = f"/{root}".rstrip("/")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), TIMEOUT_SECONDS) as connection:
            connection.settimeout(TIMEOUT_SECONDS)
            wire = _secured(connection) if scheme == "https" else connection
            wire.sendall(f"GET {prefix}/readyz HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n".encode())
            answer = wire.recv(64)
    except OSError as error:
        return f"{url}: {error}"
    status = answer.split(b" ", 2)[1:2]
    return None if status == [b"200"] else f"{url}/readyz answered {answer[:40]!r}"


def _secured(connection: socket.socket) -> socket.socket:
    """TLS with whoever answers: the certificate names the service as others reach it, and nothing secret is sent."""
    import ssl  # noqa: PLC0415 - costs 10 ms, and most services speak HTTP

    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(connection)


if __name__ == "__main__":
    problem = check()
    print(problem or "ok")
    sys.exit(1 if problem else 0)
