#!/usr/bin/env python3
"""Makes an image archive of one layer from a directory, without a container tool.

    image.py ARCHIVE NAME ROOT [--entrypoint A,B] [--user U] [--env K=V]...

Everything in it belongs to root and is of no date, so that the same files make the same image.
`ctr images import` and `docker load` take it.
"""

import argparse
import hashlib
import io
import json
import os
import platform
import tarfile
import tempfile


def anonymous(entry):
    """What a file's own machine put on it, taken off."""
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry


def pack(root, layer):
    """Every file under `root`, in order of its name, with the empty directories that run-times expect."""
    with tarfile.open(fileobj=layer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("dev", "etc", "proc", "sys", "tmp", "var"):
            if not os.path.lexists(os.path.join(root, name)):
                entry = tarfile.TarInfo(name)
                entry.type = tarfile.DIRTYPE
                entry.mode = 0o1777 if name == "tmp" else 0o755
                archive.addfile(entry)
        for name in sorted(os.listdir(root)):
            archive.add(os.path.join(root, name), name, filter=anonymous)


def text(archive, name, content):
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive")
    parser.add_argument("name")
    parser.add_argument("root")
    parser.add_argument("--entrypoint", default="")
    parser.add_argument("--user", default="")
    parser.add_argument("--env", action="append", default=[])
    given = parser.parse_args()
    with tempfile.TemporaryFile(dir=os.path.dirname(os.path.abspath(given.archive))) as layer:
        pack(given.root, layer)
        layer.seek(0)
        digest = hashlib.file_digest(layer, "sha256").hexdigest()
        architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
        config = {
            "architecture": architecture,
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest]},
            "config": {
                "Entrypoint": given.entrypoint.split(",") if given.entrypoint else None,
                "User": given.user,
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", *given.env],
                "WorkingDir": "/",
            },
        }
        content = json.dumps(config).encode()
        name = hashlib.sha256(content).hexdigest() + ".json"
        manifest = [{"Config": name, "RepoTags": [given.name], "Layers": ["layer.tar"]}]
        with tarfile.open(given.archive, "w") as archive:
            text(archive, name, content)
            entry = tarfile.TarInfo("layer.tar")
            entry.size = layer.seek(0, os.SEEK_END)
            layer.seek(0)
            archive.addfile(entry, layer)
            text(archive, "manifest.json", json.dumps(manifest).encode())


if __name__ == "__main__":
    main()
