"""FER+ faces, what the raters said of them, and what is held out of training.

The visible test is `valid.npz`. Of `train.npz` 2,500 faces are held out for choosing and for the temperature, drawn with a
fixed seed. FER2013 repeats pictures, some of them mirrored, and training mirrors faces: so every other face that is nearly
the same picture as one held out or tested on, or as its mirror image (correlation over 0.9 at 24 x 24), leaves the
training part.
"""
from pathlib import Path

import cv2
import numpy as np

NAMED = 8  # of the ten columns; the last two are "unknown" and "not a face"


def load(path):
    """(faces [N, 48, 48] bytes, votes [N, 10]) of a pack."""
    with np.load(path, allow_pickle=False) as pack:
        return pack["images"], pack["votes"].astype(np.float32)


def top(votes):
    """The column with most votes, the first of equals: 0 to 9."""
    return votes.argmax(1)


def majority(votes):
    """Which faces count in the figures of the FER+ paper (Barsoum et al., 2016): single votes are left out as slips, and
    one named class has more than half of what is left."""
    kept = np.where(votes > 1, votes, 0)
    return (kept[:, :NAMED].max(1) > kept.sum(1) / 2)


def shares(votes):
    """[N, 8]: the named classes' votes as a distribution; rows without any are uniform."""
    named = votes[:, :NAMED]
    total = named.sum(1, keepdims=True)
    return np.where(total > 0, named / np.maximum(total, 1), 1 / NAMED).astype(np.float32)


def thumbnails(faces):
    """[N, 576]: of two rows the product is the correlation of two faces at 24 x 24."""
    small = np.stack([cv2.resize(f, (24, 24), interpolation=cv2.INTER_AREA).ravel() for f in faces]).astype(np.float32)
    small -= small.mean(1, keepdims=True)
    return small / (np.linalg.norm(small, axis=1, keepdims=True) + 1e-6)


def split(data, cache):
    """(indices to train on, indices held out) of train.npz."""
    kept = Path(cache) / "face_emotion_split_mirrored.npz"  # named after the rule: one of another rule is not taken for it
    if not kept.exists():
        faces, votes = load(Path(data) / "ferplus/train.npz")
        usable = np.where(votes[:, :NAMED].sum(1) > votes[:, NAMED:].sum(1))[0]
        held = np.sort(np.random.default_rng(0).permutation(usable)[:2500])
        tested = np.concatenate([faces[held], load(Path(data) / "ferplus/valid.npz")[0]])
        ours, theirs = thumbnails(faces), thumbnails(np.concatenate([tested, tested[:, :, ::-1]]))
        twin = np.zeros(len(faces), bool)
        for start in range(0, len(theirs), 500):
            twin |= (ours @ theirs[start: start + 500].T).max(1) > 0.9
        twin[held] = True
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez(kept, train=usable[~twin[usable]], held=held)
    with np.load(kept) as z:
        return z["train"], z["held"]
