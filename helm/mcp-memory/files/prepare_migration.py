"""Waits until the service is ready, so that Qdrant is there, and fetches the database where its source is an address."""

import hashlib
import os
import sys
import time
import urllib.error
import urllib.request

PATIENCE_SECONDS = 900


def main():
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not ready():
        if time.monotonic() > deadline:
            sys.exit(f"{os.environ['URL']} was not ready within {PATIENCE_SECONDS} s")
        time.sleep(2)
    if os.environ.get("SOURCE_URL"):
        fetch(os.environ["SOURCE_URL"], "/source/database", os.environ.get("SOURCE_SHA256"))


def ready():
    try:
        with urllib.request.urlopen(os.environ["URL"] + "/readyz", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def fetch(url, target, expected):
    found = hashlib.sha256()
    with urllib.request.urlopen(url, timeout=60) as answer, open(target, "wb") as file:
        while chunk := answer.read(1 << 20):
            found.update(chunk)
            file.write(chunk)
        length = answer.headers.get("Content-Length")
        if length is not None and file.tell() != int(length):
            sys.exit(f"{url}: {file.tell()} of {length} bytes arrived")
    if expected and found.hexdigest() != expected:
        sys.exit(f"{url} has the SHA-256 {found.hexdigest()}, and migration.source.sha256 is {expected}")
    print(f"fetched {url}")


if __name__ == "__main__":
    main()
