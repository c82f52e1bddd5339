"""Pictures of the packs with human boxes and the teacher's, decoded once into a cache.

A picture is a dict: src (coco, cap, fight, street), name, img (BGR, longest side 416 at most), human [n,6],
auto [n,6] (teacher, for training), plain [n,6] (teacher's single look, for measuring), val. Rows of boxes are
[class, x1, y1, x2, y2, score] in pixels of img. `clips` gives more pictures, src clip, which nobody has labelled.

Held out (val): the last 12 % of the streets, every eighth fight group, 48 seeded pictures of capston2. A picture with a
twin on the other side (`held_out.mark_twins`) is not trained on.
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
from held_out import mark_twins  # noqa: E402
from teacher import COCO, SIZE, Teacher, overlap

_teacher = None


def unpack(path):
    with tarfile.open(path) as t:
        return {m.name: t.extractfile(m).read() for m in t if m.isfile()}


def human_boxes(text, known):
    """YOLO lines -> (class, cx, cy, w, h) of the classes in `known`."""
    rows = [[float(v) for v in line.split()] for line in text.decode().splitlines()]
    return [(known[int(r[0])], *r[1:]) for r in rows if len(r) == 5 and int(r[0]) in known]


def prepare(job):
    src, name, raw, human = job
    img = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR)
    h, w = img.shape[:2]
    auto = plain = None
    if src == "cap":  # stretched to a square; the teacher sees it at 4:3, as most photos are
        auto, plain = _teacher.label(cv2.resize(img, (w, int(h * 0.75)), interpolation=cv2.INTER_AREA), tiles=False)
        for rows in (auto, plain):
            rows[:, [2, 4]] /= 0.75
    elif src != "coco":
        auto, plain = _teacher.label(img)
    r = min(1, SIZE / max(h, w))
    small = cv2.resize(img, (round(w * r), round(h * r)), interpolation=cv2.INTER_AREA) if r < 1 else img
    sh, sw = small.shape[:2]
    k = np.array([1, sw / w, sh / h, sw / w, sh / h, 1])
    rows = [[c, (x - bw / 2) * sw, (y - bh / 2) * sh, (x + bw / 2) * sw, (y + bh / 2) * sh, 1.0]
            for c, x, y, bw, bh in human or []]
    return dict(src=src, name=name, img=small, human=np.array(rows, np.float32).reshape(-1, 6),
                auto=None if auto is None else (auto * k).astype(np.float32),
                plain=None if plain is None else (plain * k).astype(np.float32))


def start_worker(path):
    global _teacher
    cv2.setNumThreads(1)
    _teacher = Teacher(path)


def load(data, cache):
    pictures = cached(data, cache)
    mark_twins(pictures)
    return pictures


def cached(data, cache):
    cache = Path(cache) / "detector.pkl"
    if cache.exists():
        return pickle.loads(cache.read_bytes())
    data, jobs = Path(data), []
    for src, tar, known in (("coco", "coco128/coco128_train.tar", {k: i for i, k in enumerate(COCO)}),
                            ("cap", "capston2_coco.tar", {0: 0}), ("fight", "frames/fights_train.tar", None),
                            ("street", "streets/streets.tar", None)):
        files = unpack(data / tar)
        for name in sorted(files):
            if name.endswith(".jpg"):
                text = files.get(f"labels/{Path(name).stem}.txt", b"")
                jobs.append((src, name, files[name], human_boxes(text, known) if known else None))
    with multiprocessing.Pool(2, start_worker, (data / "reference/yolox_nano.onnx",)) as workers:
        pictures = workers.map(prepare, jobs, chunksize=16)
    hold_out(pictures, data / "fights/labels.csv")
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_bytes(pickle.dumps(pictures))
    return pictures


def clips(data, cache, pictures):
    """Every third frame of the fights' training clips, except for the clips of pictures held out."""
    cache = Path(cache) / "detector_clips.pkl"
    if cache.exists():
        return pickle.loads(cache.read_bytes())
    held = {p["name"].split("_")[0] for p in pictures if p["src"] == "fight" and p["val"]}
    group = groups(Path(data) / "fights/labels.csv")
    held = {group[name] for name in held}
    frames = []
    for path in sorted((Path(data) / "fights/train").glob("*.mp4")):
        video, n = cv2.VideoCapture(str(path)), 0
        while group[path.stem] not in held and (got := video.read())[0]:
            if n % 3 == 1:
                frames.append(dict(src="clip", name=f"{path.stem}_{n}", img=got[1], val=False))
            n += 1
    cache.write_bytes(pickle.dumps(frames))
    return frames


def groups(fights_csv):
    with open(fights_csv) as f:
        return {os.path.basename(r["file"])[:-4]: r["group"] for r in csv.DictReader(f)}


def hold_out(pictures, fights_csv):
    group = groups(fights_csv)

    def group_of(p):
        return group[p["name"].split("_")[0]]

    held = set(sorted({group_of(p) for p in pictures if p["src"] == "fight"})[4::8])
    streets = [i for i, p in enumerate(pictures) if p["src"] == "street"]
    caps = [i for i, p in enumerate(pictures) if p["src"] == "cap"]
    out = set(streets[-round(len(streets) * 0.12):]) | set(np.random.RandomState(0).permutation(caps)[:48].tolist())
    for i, p in enumerate(pictures):
        p["val"] = i in out or (p["src"] == "fight" and group_of(p) in held)


def targets(picture):
    """[n,7]: class, box, objectness wanted, 1 = ignore. A picture without labels is ignored as a whole.

    Human boxes count fully. The teacher's count from 0.35 with its score + 0.35 as objectness; from 0.15 to 0.35 they
    are ignored. In capston2, where people only are labelled by hand, the teacher's other people are ignored.
    """
    if picture["src"] == "clip":
        return np.array([[0, 0, 0, picture["img"].shape[1], picture["img"].shape[0], 0, 1]], np.float32)
    rows = [[*h[:5], 1.0, 0] for h in picture["human"]]
    auto = picture["auto"] if picture["auto"] is not None else np.zeros((0, 6))
    people, kept = picture["human"][picture["human"][:, 0] == 0], []
    for x in auto[np.argsort(-auto[:, 5])]:
        if picture["src"] == "cap" and x[0] == 0:
            if x[5] >= 0.35 and not (len(people) and overlap(x[None, 1:5], people[:, 1:5])[0].max() > 0.4):
                rows.append([*x[:5], 0, 1])
            continue
        alike = {2, 4, 5} if x[0] in (2, 4, 5) else {x[0]}  # a car is often a truck too, for the teacher
        near = [k[1:5] for k in kept if k[0] in alike]
        if near and overlap(x[None, 1:5], np.array(near))[0].max() > 0.6:
            continue
        if x[5] >= 0.35:
            kept.append(x)
            rows.append([*x[:5], min(1.0, x[5] + 0.35), 0])
        elif x[5] >= 0.15:
            rows.append([*x[:5], 0, 1])
    return np.array(rows, np.float32).reshape(-1, 7)
