"""The migration Job: an original database from a claim, and from an address, into the Qdrant beside the service."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator

import pytest
from chart_cluster import Release, apply, claim_manifest, get, kubectl, pod_manifest, start_pod

from original_databases import Generation, build, ordinary_rows

MEMORIES = 60
REEMBED = {"migration.extraArgs": ["--reembed"]}
"""The vectors of these databases are no model's."""


@pytest.fixture(scope="module")
def database(namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[bytes]:
    """A database of the original service, in a claim, which a pod serves over HTTP too."""
    path = tmp_path_factory.mktemp("original") / "sqlite_vec.db"
    build(path, Generation.V12_4, ordinary_rows(MEMORIES))
    content = path.read_bytes()
    apply(namespace, claim_manifest("old"))
    start_pod(
        namespace,
        pod_manifest("files", ["/usr/bin/python3", "-m", "http.server", "8080", "--directory", "/claim"], claim="old"),
    )
    write = ("--namespace", namespace, "exec", "--stdin", "files", "--", "sh", "-c", "cat >/claim/sqlite_vec.db")
    kubectl(*write, stdin=content)
    yield content
    kubectl("--namespace", namespace, "delete", "pod", "files", "--wait")


def test_a_database_in_a_claim_is_brought_in_and_upgrades_may_repeat_it(
    database: bytes, new_release: Callable[..., Release]
) -> None:
    release = new_release("claim", **{"migration.enabled": True, "migration.source.existingClaim": "old", **REEMBED})
    release.install()
    finished(release)
    assert release.count() == MEMORIES
    release.store("Stored after the migration")
    release.upgrade()
    finished(release)
    assert release.count() == MEMORIES + 1
    assert release.test().rstrip().endswith("ok")
    release.upgrade(**{"migration.enabled": False})
    services = kubectl("--namespace", release.namespace, "get", "services", "--output", "name").split()
    assert f"service/{release.full}-qdrant" not in services
    assert release.count() == MEMORIES + 1
    release.uninstall()


def test_a_database_at_an_address_is_fetched_checked_and_brought_in(
    database: bytes, namespace: str, new_release: Callable[..., Release]
) -> None:
    address = get("pod", "files", namespace)["status"]["podIP"]
    source = {
        **REEMBED,
        "migration.enabled": True,
        "migration.source.url": f"http://{address}:8080/sqlite_vec.db",
        "migration.source.sha256": hashlib.sha256(database).hexdigest(),
    }
    release = new_release("address", **source)
    release.install()
    finished(release)
    assert release.count() == MEMORIES
    release.uninstall()


def finished(release: Release) -> None:
    asked = ("--namespace", release.namespace)
    kubectl(*asked, "wait", f"job/{release.full}-migrate", "--for=condition=Complete", "--timeout=240s")
    status = json.loads(kubectl(*asked, "get", f"job/{release.full}-migrate", "--output", "json"))["status"]
    assert status["succeeded"] == 1
