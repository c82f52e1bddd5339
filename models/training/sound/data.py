"""Clips of the packs with their labels, decoded once into a cache."""
import csv
import pickle
import subprocess
from pathlib import Path

import numpy as np

ALIASES = {"gun_shot": "gunshot", "crying_baby": "baby_cry", "dog": "dog_bark", "glass_breaking": "glass_break"}
KNOWN = {"gunshot", "explosion", "siren", "baby_cry", "dog_bark", "glass_break"}


def read(path):
    """16 kHz mono in [-1, 1], decoded by GStreamer (gst-launch-1.0), as the daemon does."""
    command = ["gst-launch-1.0", "-q", "filesrc", f"location={path}", "!", "oggdemux", "!", "opusdec", "!", "audioconvert",
               "!", "audioresample", "!", "audio/x-raw,format=F32LE,channels=1,rate=16000", "!", "fdsink", "fd=1"]
    return np.frombuffer(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout, np.float32)


def rows(folder):
    with open(folder / "labels.csv") as f:
        return list(csv.DictReader(f))


def load(data, cache):
    """A list of dicts: samples, label, source, part ('train', 'valid', 'test').

    Test: SESA test rows without a twin in train, ESC-10 fold 5, EMO-DB speakers 15 and 16.
    Valid: ESC-10 fold 3, every fifth SESA recording group by number, EMO-DB speaker 14.
    ESC-50 clips that are ESC-10's own recordings are left out.
    """
    cache = Path(cache) / "sound.pkl"
    if cache.exists():
        return pickle.loads(cache.read_bytes())
    data, clips = Path(data), []

    def add(path, word, source, part):
        word = ALIASES.get(word, word)
        label = word if word in KNOWN or word == "speech" else "background"
        clips.append(dict(samples=read(path), label=label, word=word, source=source, part=part, file=path.name))

    for row in rows(data / "sesa/train"):
        number = int("".join(c for c in Path(row["file"]).stem if c.isdigit()) or 0)
        add(data / "sesa/train" / row["file"], row["label"], "sesa", "valid" if (number // 10) % 5 == 2 else "train")
    for row in rows(data / "sesa/test"):
        if not row["same_recording_in_train"]:
            add(data / "sesa/test" / row["file"], row["label"], "sesa", "test")
    for row in rows(data / "esc10"):
        add(data / "esc10" / row["file"], row["label"], "esc10", {"5": "test", "3": "valid"}.get(row["fold"], "train"))
    for i, row in enumerate(rows(data / "esc50_fold4")):
        if row["also_in_esc10"] != "1":
            held = ALIASES.get(row["label"], row["label"]) not in KNOWN and i % 5 == 0
            add(data / "esc50_fold4" / row["file"], row["label"], "esc50", "valid" if held else "train")
    for row in rows(data / "emodb"):
        part = "test" if row["speaker"] in ("15", "16") else "valid" if row["speaker"] == "14" else "train"
        add(data / "emodb" / row["file"], "speech", "emodb", part)
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_bytes(pickle.dumps(clips))
    return clips
