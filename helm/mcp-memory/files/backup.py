"""What the backup CronJob runs: all memories through the service's API, into a volume or an S3-compatible bucket.

Needs nothing but Python's standard library. A backup has its name only when it is complete; older ones than KEEP are deleted
after it. Restore: gunzip -c FILE | kubectl exec -i POD -- memory import -
"""

import datetime
import gzip
import hashlib
import hmac
import http.client
import os
import sys
import time
import urllib.parse
import xml.etree.ElementTree
from pathlib import Path

TIMEOUT_SECONDS = 300
PATIENCE_SECONDS = 600
"""For a service that is being installed, or starts anew."""
CHUNK_BYTES = 1 << 20
SUFFIX = ".jsonl.gz"


def main():
    now = datetime.datetime.now(datetime.timezone.utc)
    name = now.strftime("memories-%Y%m%dT%H%M%SZ") + SUFFIX
    target = Bucket() if os.environ.get("S3_BUCKET") else Volume(Path("/backup"))
    part = target.scratch / f".{name}.part"
    try:
        memories = fetch(part)
        size = part.stat().st_size
        target.keep(part, name)
    finally:
        part.unlink(missing_ok=True)
    print(f"{target}/{name}: {memories} memories, {size} bytes")
    keep = int(os.environ["KEEP"])
    for old in sorted(target.backups())[:-keep]:
        target.delete(old)
        print(f"deleted {old}")


def fetch(part):
    """All memories, compressed, on disk. Returns their number; ends where the answer breaks off."""
    url = urllib.parse.urlsplit(os.environ["URL"])
    headers = {"Content-Length": "0"}
    if os.environ.get("KEY_FILE"):
        headers["Authorization"] = "Bearer " + Path(os.environ["KEY_FILE"]).read_text().strip()
    answer = asked(url, headers)
    if answer.status != 200:
        sys.exit(f"the service answered {answer.status}: {answer.read(2000).decode(errors='replace')}")
    memories, last = 0, b"\n"
    with open(part, "wb") as file:
        with gzip.GzipFile(fileobj=file, mode="wb", filename="") as packed:
            while chunk := read(answer):
                memories += chunk.count(b"\n")
                last = chunk[-1:]
                packed.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    if last != b"\n":
        sys.exit("the service's answer broke off: nothing was kept")
    return memories


def asked(url, headers):
    """The service's answer, once it is there and can answer."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            connection = http.client.HTTPConnection(url.hostname, url.port, timeout=TIMEOUT_SECONDS)
            connection.request("POST", "/api/backup", headers=headers)
            answer = connection.getresponse()
            if answer.status != 503 or time.monotonic() > deadline:
                return answer
            problem = "answered 503"
        except OSError as error:
            if time.monotonic() > deadline:
                sys.exit(f"{url.geturl()}: {error}")
            problem = error
        print(f"waiting for {url.geturl()}: {problem}", flush=True)
        time.sleep(5)


def read(answer):
    try:
        return answer.read(CHUNK_BYTES)
    except http.client.IncompleteRead:
        sys.exit("the service's answer broke off: nothing was kept")


class Volume:
    def __init__(self, folder):
        self.scratch = folder
        for part in folder.glob(f".*{SUFFIX}.part"):  # of a backup that was killed
            part.unlink()

    def __str__(self):
        return str(self.scratch)

    def keep(self, part, name):
        part.chmod(0o600)
        part.rename(self.scratch / name)

    def backups(self):
        return [path.name for path in self.scratch.glob(f"memories-*{SUFFIX}")]

    def delete(self, name):
        (self.scratch / name).unlink()


class Bucket:
    """As much of S3 as this needs: put, list and delete, signed with AWS Signature Version 4. One put takes up to 5 GB."""

    def __init__(self):
        self.scratch = Path("/tmp")
        self._endpoint = urllib.parse.urlsplit(os.environ["S3_ENDPOINT"].rstrip("/"))
        self._bucket, self._region = os.environ["S3_BUCKET"], os.environ["S3_REGION"]
        self._prefix = os.environ["S3_PREFIX"] + "/"
        self._id = Path("/s3/access-key-id").read_text().strip()
        self._secret = Path("/s3/secret-access-key").read_text().strip()

    def __str__(self):
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def keep(self, part, name):
        with open(part, "rb") as file:
            payload = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            self._ask("PUT", self._prefix + name, body=file, payload=payload, length=part.stat().st_size)

    def backups(self):
        names, token = [], None
        while True:
            query = {"list-type": "2", "prefix": self._prefix + "memories-"}
            if token:
                query["continuation-token"] = token
            root = xml.etree.ElementTree.fromstring(self._ask("GET", "", query=query))
            names += [node.text for node in root.iter() if node.tag.endswith("}Key")]
            token = next((node.text for node in root.iter() if node.tag.endswith("}NextContinuationToken")), None)
            if not token:
                return [name[len(self._prefix) :] for name in names if name.endswith(SUFFIX)]

    def delete(self, name):
        self._ask("DELETE", self._prefix + name)

    def _ask(self, method, key, query={}, body=None, payload=hashlib.sha256(b"").hexdigest(), length=0):
        now = datetime.datetime.now(datetime.timezone.utc)
        path = urllib.parse.quote(f"{self._endpoint.path}/{self._bucket}/{key}".rstrip("/"))
        query = urllib.parse.urlencode(sorted(query.items()), quote_via=urllib.parse.quote, safe="")
        headers = {
            "host": self._endpoint.netloc,
            "x-amz-content-sha256": payload,
            "x-amz-date": now.strftime("%Y%m%dT%H%M%SZ"),
        }
        headers["authorization"] = self._signature(now, method, path, query, headers, payload)
        headers["content-length"] = str(length)
        secure = self._endpoint.scheme == "https"
        connection = (http.client.HTTPSConnection if secure else http.client.HTTPConnection)(
            self._endpoint.hostname, self._endpoint.port, timeout=TIMEOUT_SECONDS
        )
        connection.request(method, path + (f"?{query}" if query else ""), body=body, headers=headers)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status >= 300:
            sys.exit(f"{method} {self}: {answer.status} {content[:1000].decode(errors='replace')}")
        return content

    def _signature(self, now, method, path, query, headers, payload):
        names = ";".join(sorted(headers))
        lines = [f"{name}:{headers[name]}" for name in sorted(headers)]
        request = "\n".join([method, path, query, *lines, "", names, payload])
        scope = f"{now:%Y%m%d}/{self._region}/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, hashlib.sha256(request.encode()).hexdigest()])
        key = b"AWS4" + self._secret.encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        return f"AWS4-HMAC-SHA256 Credential={self._id}/{scope}, SignedHeaders={names}, Signature={signature}"


if __name__ == "__main__":
    main()
