#!/usr/bin/env python3
"""Packs static programs into an image: pack.py OUT.tar NAME:TAG PROGRAM...

What comes out is an archive of the OCI image layout, as `ctr images import`, `podman load` and `skopeo` read it. Each
program is in /usr/bin; the first one is the entry point. The same programs give the same bytes. A program that wants a
dynamic linker is refused: there is none in the image.

Formats: https://github.com/opencontainers/image-spec, v1.1: image-layout.md, manifest.md, config.md, layer.md.
"""

import gzip
import hashlib
import io
import json
import os
import struct
import sys
import tarfile

# e_machine of elf(5), and what Go and OCI call it.
ARCHITECTURES = {0x3E: "amd64", 0xB7: "arm64", 0xF3: "riscv64"}
PT_INTERP = 3


def refuse(path, why):
    sys.exit(f"pack.py: {path}: {why}")


def architecture(path, program):
    """The architecture of a static 64-bit ELF program; ends with a sentence for anything else."""
    if program[:6] != b"\x7fELF\x02\x01":
        refuse(path, "not a 64-bit little-endian ELF program")
    (machine,) = struct.unpack_from("<H", program, 18)
    (table,) = struct.unpack_from("<Q", program, 32)
    size, count = struct.unpack_from("<HH", program, 54)
    for header in range(count):
        if struct.unpack_from("<I", program, table + header * size)[0] == PT_INTERP:
            refuse(path, "dynamically linked: build it with -C target-feature=+crt-static and a --target")
    return ARCHITECTURES.get(machine) or refuse(path, f"an ELF machine {machine:#x} that pack.py does not know")


def archive(entries):
    """A tar of (name, mode, content); a content of None is a directory. Owned by root, at the beginning of time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, mode, content in entries:
            entry = tarfile.TarInfo(name)
            entry.mode = mode
            if content is None:
                entry.type = tarfile.DIRTYPE
                tar.addfile(entry)
            else:
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def compact(value):
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def main(out, name, paths):
    programs = {}
    for path in paths:
        with open(path, "rb") as file:
            programs[path] = file.read()
    kinds = {architecture(path, program) for path, program in programs.items()}
    if len(kinds) != 1:
        sys.exit(f"pack.py: programs of several architectures: {sorted(kinds)}")
    platform = {"architecture": kinds.pop(), "os": "linux"}

    names = [os.path.basename(path) for path in paths]
    files = [(f"usr/bin/{base}", 0o755, programs[path]) for base, path in zip(names, paths)]
    layer = archive([("usr", 0o755, None), ("usr/bin", 0o755, None), *files])
    packed = gzip.compress(layer, compresslevel=6, mtime=0)

    config = compact({
        **platform,
        "created": "1970-01-01T00:00:00Z",
        "config": {"Entrypoint": [f"/usr/bin/{names[0]}"], "Env": ["PATH=/usr/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "deploy/image/pack.py"}],
    })
    kind = "application/vnd.oci.image"
    manifest = compact({
        "schemaVersion": 2,
        "mediaType": f"{kind}.manifest.v1+json",
        "config": {"mediaType": f"{kind}.config.v1+json", "digest": digest(config), "size": len(config)},
        "layers": [{"mediaType": f"{kind}.layer.v1.tar+gzip", "digest": digest(packed), "size": len(packed)}],
    })
    index = compact({
        "schemaVersion": 2,
        "mediaType": f"{kind}.index.v1+json",
        "manifests": [{
            "mediaType": f"{kind}.manifest.v1+json",
            "digest": digest(manifest),
            "size": len(manifest),
            "platform": platform,
            # The first is containerd's, the second is the layout's own and podman's.
            "annotations": {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name},
        }],
    })
    blobs = [(f"blobs/sha256/{digest(blob)[7:]}", 0o644, blob) for blob in (config, manifest, packed)]
    content = archive([
        ("oci-layout", 0o644, compact({"imageLayoutVersion": "1.0.0"})),
        ("index.json", 0o644, index),
        ("blobs", 0o755, None),
        ("blobs/sha256", 0o755, None),
        *blobs,
    ])
    with open(out, "wb") as file:
        file.write(content)
    print(f"{out}: {name}, {len(content)} bytes, manifest {digest(manifest)}")


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__.splitlines()[0])
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
