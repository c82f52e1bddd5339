"""Puts weights into a model folder and their sha256 into its manifest: python release.py WEIGHTS MODEL_DIR

Where the recipe left a beside.toml with the weights, its table replaces the manifest's."""
import hashlib
import os
import re
import shutil
import sys
from pathlib import Path


def release(weights, folder):
    folder = Path(folder)
    digest = hashlib.sha256(Path(weights).read_bytes()).hexdigest()
    manifest = folder / "model.toml"
    text, n = re.subn(r'sha256 = "[^"]*"', f'sha256 = "{digest}"', manifest.read_text())
    if n != 1:
        raise SystemExit(f"{manifest} needs one sha256 line")
    beside = Path(weights).with_name("beside.toml")
    if beside.exists():
        text, n = re.subn(r"\[beside\]\n(\w+ = .*\n)*", beside.read_text(), text)
        if n != 1:
            raise SystemExit(f"{manifest} needs one [beside] table")
    shutil.copyfile(weights, folder / "weights.new")
    (folder / "model.new").write_text(text)
    os.replace(folder / "weights.new", folder / "weights.safetensors")
    os.replace(folder / "model.new", manifest)
    print(folder, digest)


if __name__ == "__main__":
    release(*sys.argv[1:])
