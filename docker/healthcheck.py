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
    authority, _, root = url.removeprefix("http://").partition("/")
    host, _, port = authority.rpartition(":")
    prefix = f"/{root}".rstrip("/")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), TIMEOUT_SECONDS) as connection:
            connection.settimeout(TIMEOUT_SECONDS)
            connection.sendall(
                f"GET {prefix}/readyz HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n".encode()
            )
            answer = connection.recv(64)
    except OSError as error:
        return f"{url}: {error}"
    status = answer.split(b" ", 2)[1:2]
    return None if status == [b"200"] else f"{url}/readyz answered {answer[:40]!r}"


if __name__ == "__main__":
    problem = check()
    print(problem or "ok")
    sys.exit(1 if problem else 0)
