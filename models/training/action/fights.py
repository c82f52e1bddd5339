"""The fight clips, decoded once: uint8 pictures at the size of the files (at most 320 wide), 15 a second."""
import csv
from pathlib import Path

import cv2
import numpy as np

LABELS = ["fight", "no_fight"]


def rows(data):
    with open(Path(data) / "fights/labels.csv", newline="") as file:
        return list(csv.DictReader(file))


def decode(path):
    """[frames, height, width, 3] RGB."""
    video, frames = cv2.VideoCapture(str(path)), []
    while True:
        ok, frame = video.read()
        if not ok:
            break
        frames.append(frame[..., ::-1])
    if not frames:
        raise SystemExit(f"{path} holds no picture")
    return np.stack(frames)


def load(data, cache):
    """A list of dicts: file, label (1 fight), group, split, frames (memory-mapped), and the sound's columns."""
    folder = Path(cache) / "fights"
    folder.mkdir(parents=True, exist_ok=True)
    clips = []
    for row in rows(data):
        at = folder / (Path(row["file"]).stem + "_" + row["split"] + ".npy")
        if not at.exists():
            partial = at.with_suffix(".part.npy")
            np.save(partial, decode(Path(data) / "fights" / row["file"]))
            partial.rename(at)
        clips.append(dict(file=row["file"], target=int(row["label"] == "fight"), group=row["group"], split=row["split"],
                          sounds=row["has_audio"] == "1" and float(row["mean_volume_dB"]) > -60,
                          frames=np.load(at, mmap_mode="r")))
    return clips
