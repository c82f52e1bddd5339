"""Clips of the packs with their labels and parts."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "audio"))
from clips import rows, samples  # noqa: E402

ALIASES = {"gun_shot": "gunshot", "crying_baby": "baby_cry", "dog": "dog_bark", "glass_breaking": "glass_break"}
KNOWN = {"gunshot", "explosion", "siren", "baby_cry", "dog_bark", "glass_break"}


def load(data, cache, without=None):
    """A list of dicts: samples (int16), label, word (the pack's own), source, part ('train', 'valid', 'test'), file.

    Test: SESA test rows without a twin in train, ESC-10 fold 5, EMO-DB speakers 15 and 16.
    Valid: ESC-10 fold 3, SESA train clips by tens of numbers, EMO-DB speaker 14, every fifth ESC-50 clip of other classes.
    ESC-50 clips that are ESC-10's own recordings are left out. Every clip of the label `without` is a test clip.
    """
    data, clips = Path(data), []

    def add(inside, word, source, part):
        word = ALIASES.get(word, word)
        label = word if word in KNOWN or word == "speech" else "background"
        clips.append(dict(samples=samples(data, cache, inside), label=label, word=word, source=source,
                          part="test" if label == without else part, file=Path(inside).name))

    for row in rows(data / "sesa/train"):
        number = int("".join(c for c in Path(row["file"]).stem if c.isdigit()) or 0)
        add(f"sesa/train/{row['file']}", row["label"], "sesa", "valid" if (number // 10) % 5 == 2 else "train")
    for row in rows(data / "sesa/test"):
        if not row["same_recording_in_train"]:
            add(f"sesa/test/{row['file']}", row["label"], "sesa", "test")
    for row in rows(data / "esc10"):
        add(f"esc10/{row['file']}", row["label"], "esc10", {"5": "test", "3": "valid"}.get(row["fold"], "train"))
    for i, row in enumerate(rows(data / "esc50_fold4")):
        if row["also_in_esc10"] != "1":
            held = ALIASES.get(row["label"], row["label"]) not in KNOWN and i % 5 == 0
            add(f"esc50_fold4/{row['file']}", row["label"], "esc50", "valid" if held else "train")
    for row in rows(data / "emodb"):
        part = "test" if row["speaker"] in ("15", "16") else "valid" if row["speaker"] == "14" else "train"
        add(f"emodb/{row['file']}", "speech", "emodb", part)
    return clips


def recording(clip):
    """Freesound's number of an ESC clip; SESA's names repeat between its parts, so its clips are their own."""
    return clip["file"].split("-")[1] if clip["source"].startswith("esc") else f"{clip['part']}/{clip['file']}"


def part(clips, name):
    """Clips of a part, less those of a recording that is trained on, or for validation tested on."""
    before = dict(train=(), test=("train",), valid=("train", "test"))[name]
    known = {recording(c) for c in clips if c["part"] in before}
    return [c for c in clips if c["part"] == name and recording(c) not in known]
