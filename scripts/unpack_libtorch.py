"""Unpacks the part of the torch and CUDA runtime wheels that a libtorch build needs: headers and CPU libraries.

usage: unpack_libtorch.py WHEELS_DIR OUT_DIR
"""

import pathlib
import re
import sys
import zipfile

LIBRARIES = {
    "torch/lib/libc10.so",
    "torch/lib/libtorch_cpu.so",
    "torch/lib/libtorch.so",
    "torch/lib/libgomp.so.1",
    "nvidia/cu13/lib/libcudart.so.13",
    "nvidia/cu13/lib/libcupti.so.13",
}


def target_of(member: str) -> str | None:
    if member.startswith("torch/include/"):
        return member.removeprefix("torch/")
    if member in LIBRARIES:
        return "lib/" + member.rsplit("/", 1)[1]
    return None


def main() -> None:
    wheels, out = map(pathlib.Path, sys.argv[1:3])
    missing = set(LIBRARIES)
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():
                target = target_of(member)
                if target is None or member.endswith("/"):
                    continue
                path = out / target
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(member))
                missing.discard(member)
            if "torch/version.py" in archive.namelist():
                text = archive.read("torch/version.py").decode()
                version = re.search(r"__version__ = '([^']+)'", text).group(1)
                (out / "build-version").write_text(version + "\n")
    if missing:
        sys.exit(f"the wheels in {wheels} lack {sorted(missing)}")


main()
