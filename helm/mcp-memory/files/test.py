"""What `helm test` runs: stores, finds and deletes a memory over REST and over MCP, and looks at the storage.

Needs nothing but Python's standard library. URL, STORAGE (embedded or server) and KEY_FILE come from the environment.
"""

import json
import os
import sys
import urllib.error
import urllib.request
import uuid

URL = os.environ["URL"]
KEY = open(os.environ["KEY_FILE"]).read().strip() if os.environ.get("KEY_FILE") else None
TIMEOUT_SECONDS = 30


def main():
    health = call("GET", "/api/health")
    expect(health["status"] == "ok", "the service is healthy", health)
    expect(health["storage"]["backend"] == "qdrant", "memories are kept in Qdrant", health)
    details = call("GET", "/api/storage/stats")["details"]
    kept = "server" if "shards" in details else "embedded"
    expect(kept == os.environ["STORAGE"], f"its engine is {os.environ['STORAGE']}", details)
    if KEY is not None:
        expect(status("GET", "/api/memories") == 401, "nobody gets in without the key")
    expect(status("GET", "/readyz") == 200, "it says that it is ready")
    expect(status("GET", "/api/health", host="attacker.example") == 421, "it answers to names that it knows alone")
    rest()
    mcp()
    print("ok")


def rest():
    mark = uuid.uuid4().hex
    memory = {"content": f"The lighthouse keeper waters tomatoes at dawn ({mark})", "tags": ["helm-test"]}
    stored = call("POST", "/api/memories", memory)
    expect(stored["success"], "REST stores", stored)
    try:
        found = call("POST", "/api/search", {"query": "vegetables in the morning", "n_results": 10, "tags": ["helm-test"]})
        expect(mark in json.dumps(found), "REST finds it by meaning", found)
    finally:
        deleted = call("DELETE", f"/api/memories/{stored['content_hash']}")
    expect(deleted["success"], "REST deletes", deleted)
    expect(status("GET", f"/api/memories/{stored['content_hash']}", KEY) == 404, "and then it is gone")


def mcp():
    mark = uuid.uuid4().hex
    client = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "helm-test", "version": "1"}}
    answer = message("initialize", client)
    expect("serverInfo" in answer, "MCP answers", answer)
    content = f"The ferryman paints his boat blue every spring ({mark})"
    stored = tool("memory_store", {"content": content, "tags": ["helm-test"]})
    try:
        found = tool("memory_search", {"query": "boat colour", "tags": ["helm-test"]})
        expect(mark in json.dumps(found), "MCP stores and finds", stored, found)
    finally:
        deleted = tool("memory_delete", {"tags": ["helm-test"]})
    left = tool("memory_search", {"query": "boat colour", "tags": ["helm-test"]})
    expect(mark not in json.dumps(left), "MCP deletes", deleted, left)


def tool(name, arguments):
    return message("tools/call", {"name": name, "arguments": arguments})


def message(method, params):
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-06-18"}
    text = request("POST", "/mcp", body, KEY, headers=headers)
    lines = [line[5:] for line in text.splitlines() if line.startswith("data:")] or [text]
    answer = json.loads(lines[-1])
    expect("result" in answer and not answer["result"].get("isError"), f"MCP does {method} {params.get('name', '')}".rstrip(), answer)
    return answer["result"]


def call(method, path, body=None):
    return json.loads(request(method, path, body, KEY))


def status(method, path, key=None, host=None):
    try:
        request(method, path, None, key, headers={"Host": host} if host else {})
    except urllib.error.HTTPError as error:
        return error.code
    return 200


def request(method, path, body, key, headers={}):
    headers = {"Content-Type": "application/json", **headers}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(URL + path, data, headers, method=method)
    with urllib.request.urlopen(asked, timeout=TIMEOUT_SECONDS) as answer:
        return answer.read().decode()


def expect(true, promise, *seen):
    if not true:
        sys.exit(f"FAILED: {promise}. Seen: {' '.join(json.dumps(item)[:2000] for item in seen)}")
    print(f"  {promise}")


if __name__ == "__main__":
    main()
