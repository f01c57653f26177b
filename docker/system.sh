#!/bin/sh
# What the target's operating system needs: Python, for torch also that and a quick BLAS; the user; empty folders that volumes
# take their owner and mode from. Leaves nothing that differs between two builds.
set -eu
flavor=$1

set -- python3
if [ "$flavor" = torch ]; then
    set -- "$@" python3-torch libopenblas0-pthread # the reference BLAS is seven times slower
fi
# With SOURCE_DATE_EPOCH set, Debian's scripts write bytecode that is checked by hash, not by a time that a build may rewrite.
export SOURCE_DATE_EPOCH DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install -y --no-install-recommends "$@"

# Such bytecode makes Python read every source to check it. Nothing changes here any more: say so (PEP 552, flag bit 1).
/usr/bin/python3 -I -S -B - <<'PYTHON'
import pathlib

for pyc in pathlib.Path("/usr").rglob("*.pyc"):
    with pyc.open("r+b") as file:
        head = file.read(8)
        if head[4:8] == b"\x03\0\0\0":
            file.seek(4)
            file.write(b"\x01\0\0\0")
        elif head[4:8] == b"\0\0\0\0":
            file.close()
            pyc.unlink()
PYTHON

echo 'memory:x:1000:1000::/data:/usr/sbin/nologin' >>/etc/passwd
echo 'memory:x:1000:' >>/etc/group
for folder in /data /volumes/keys /volumes/qdrant /volumes/qdrant-1 /volumes/qdrant-2 /volumes/qdrant-3 /volumes/qdrant-config /volumes/metrics-key; do
    mkdir -p "$folder"
    chown 1000:1000 "$folder"
    chmod 00700 "$folder"
done

find / -xdev -type f -perm /6000 -exec chmod a-s {} +
rm -rf /var/lib/apt/lists/* /var/cache/apt /var/cache/debconf /var/cache/ldconfig /var/log/* /var/lib/dpkg/*-old /etc/*- /tmp/* 2>/dev/null || true
