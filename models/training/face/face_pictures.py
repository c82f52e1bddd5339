"""Pictures of the packs with the teacher's faces, decoded once into a cache.

A picture is a dict: src (coco, cap, fight, street), name, img (BGR as in the pack, capston2 back at 4:3), faces and
plain (rows as in face_teacher.py, in pixels of img), val.

Held out (val): the last 12 % of the streets as one block, every eighth fight group, 48 seeded pictures of capston2;
the same as for the detector. A picture with a twin on the other side (`held_out.mark_twins`) is not trained on.
"""
import csv
import multiprocessing
import os
import pickle
import sys
import tarfile
from pathlib import Path

import cv2
import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))
from face_teacher import FaceTeacher  # noqa: E402
from held_out import mark_twins  # noqa: E402

SURE, MAYBE = 0.6, 0.3  # a face to learn; between the two it is ignored
_teacher = None


def prepare(job):
    src, name, raw = job
    img = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR)
    if src == "cap":  # stretched to a square in the pack; most photos are 4:3
        img = cv2.resize(img, (img.shape[1], img.shape[0] * 3 // 4), interpolation=cv2.INTER_AREA)
    faces, plain = _teacher.label(img)
    return dict(src=src, name=name, img=img, faces=faces, plain=plain)


def start_worker(path):
    global _teacher
    cv2.setNumThreads(1)
    _teacher = FaceTeacher(path)


def load(data, cache):
    pictures = cached(data, cache)
    mark_twins(pictures)
    return pictures


def cached(data, cache):
    cache, data = Path(cache) / "face.pkl", Path(data)
    if cache.exists():
        return pickle.loads(cache.read_bytes())
    jobs = []
    for src, tar in (("coco", "coco128/coco128_train.tar"), ("cap", "capston2_coco.tar"),
                     ("fight", "frames/fights_train.tar"), ("street", "streets/streets.tar")):
        with tarfile.open(data / tar) as t:
            files = {m.name: t.extractfile(m).read() for m in t if m.isfile() and m.name.endswith(".jpg")}
        jobs += [(src, name, files[name]) for name in sorted(files)]
    with multiprocessing.Pool(1, start_worker, (data / "reference/face_detection_yunet_2026may.onnx",)) as workers:
        pictures = workers.map(prepare, jobs, chunksize=16)
    hold_out(pictures, data / "fights/labels.csv")
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_bytes(pickle.dumps(pictures))
    return pictures


def hold_out(pictures, fights_csv):
    with open(fights_csv) as f:
        group = {os.path.basename(r["file"])[:-4]: r["group"] for r in csv.DictReader(f)}

    def group_of(p):
        return group[Path(p["name"]).name.split("_")[0]]

    held = set(sorted({group_of(p) for p in pictures if p["src"] == "fight"})[4::8])
    streets = [i for i, p in enumerate(pictures) if p["src"] == "street"]
    caps = [i for i, p in enumerate(pictures) if p["src"] == "cap"]
    out = set(streets[-round(len(streets) * 0.12):]) | set(np.random.RandomState(0).permutation(caps)[:48].tolist())
    for i, p in enumerate(pictures):
        p["val"] = i in out or (p["src"] == "fight" and group_of(p) in held)


if __name__ == "__main__":
    import sys
    for src in ("coco", "cap", "fight", "street"):
        chosen = [p for p in load(*sys.argv[1:3]) if p["src"] == src]
        for val in (False, True):
            part = [p for p in chosen if p["val"] == val]
            rows = np.concatenate([p["faces"] for p in part] or [np.zeros((0, 15))])
            plain = np.concatenate([p["plain"] for p in part] or [np.zeros((0, 15))])
            h = (rows[:, 3] - rows[:, 1])[rows[:, 4] >= SURE]
            print(src, "held" if val else "train", len(part), "pictures", len(h), "faces", (rows[:, 4] < SURE).sum(),
                  "unsure; heights", np.percentile(h, [5, 25, 50, 75, 95]).round() if len(h) else "",
                  "plain", (plain[:, 4] >= SURE).sum(), flush=True)
