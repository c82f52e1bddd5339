"""Embeddings of picture and sound of the fight clips, by fold of the cross-validation.

A clip's sound counts where it has a track louder than -60 dB; "no track" and "silent" are the same: missing. Its
embedding is the mean over the patches of the shipped sound model. The picture's come from clip models trained without
the fold's groups, as in models/training/action.
"""
import functools
import importlib.util
import sys
import tomllib
from pathlib import Path

import av
import numpy as np
import torch
from safetensors.torch import load_file

HERE = Path(__file__).resolve().parent
MODELS = HERE.parents[1]
sys.path[:0] = [str(HERE.parent / "action")]
import features  # noqa: E402
import train as action  # noqa: E402

RATE_HZ = 16_000


def module(path):
    """A recipe's file by its path: several are called alike."""
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def decoded(path):
    """16 kHz mono of a film's first sound track."""
    with av.open(str(path)) as film:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE_HZ)
        blocks = [b.to_ndarray()[0] for f in film.decode(audio=0) for b in resampler.resample(f)]
        return np.concatenate(blocks + [b.to_ndarray()[0] for b in resampler.resample(None)]).astype(np.float32)


@torch.no_grad()
def sounds(data, cache, clips):
    """[clips, A], and which have one. Cached by the sound model's checksum."""
    manifest = tomllib.loads((MODELS / "sound/model.toml").read_text())
    at = Path(cache) / f"fights_sound_{manifest['weights']['sha256'][:12]}.npz"
    if not at.exists():
        model, mel = module(HERE.parent / "sound/model.py"), module(HERE.parent / "sound/mel.py")
        net = model.MelCnn()
        net.load_state_dict({k: v.float() for k, v in load_file(MODELS / "sound/weights.safetensors").items()}, strict=False)
        net.eval()
        out = np.zeros((len(clips), model.CHANNELS[-1]), np.float32)
        for i, clip in enumerate(clips):
            if clip["sounds"]:
                x = decoded(Path(data) / "fights" / clip["file"])
                x = np.pad(x, (0, max(0, mel.PATCH - len(x))))
                patches = np.stack([x[s: s + mel.PATCH] for s in range(0, len(x) - mel.PATCH + 1, mel.HOP)])
                features_ = torch.from_numpy(((mel.log_mel(patches) - model.MEAN) * model.SCALE)[:, None]).float()
                out[i] = net.embed(features_).mean(0)
        np.savez(at, sound=out)
    return np.load(at)["sound"], np.array([c["sounds"] for c in clips])


@torch.no_grad()
def pictures(head, clips):
    """Of each clip: the mean over its windows [clips, V], and of its looks [clips, views, V]."""
    embed = lambda maps: head.embed(torch.from_numpy(maps.astype(np.float32))).numpy()
    return np.stack([embed(c["clean"]).mean(0) for c in clips]), np.stack([embed(c["looks"]) for c in clips])


@functools.cache
def black_maps():
    """[1, C', h, w] of a film that is black from end to end; the same for every head."""
    width, height = features.SIZE
    return features.maps(features.trunk()[0], np.zeros((features.FRAMES, height, width, 3), np.float32))[None]


@torch.no_grad()
def black(head):
    """[V] of such a film: what a head is shown with the lens covered."""
    return head.embed(torch.from_numpy(black_maps()).float()).numpy()[0]


def by_fold(folder, clips, seed):
    """A list of (held out [clips], clean [clips, V], looks [clips, views, V], of a black picture [V], log-odds of the clip
    model alone [clips]) of a seed, from the clip models that the cross-validation left in `folder`, or makes there."""
    return [(held, *pictures(head, clips), black(head), action.logits(head, clips))
            for held, head in action.fold_heads(clips, seed, Path(folder))]


def beside():
    """Task → sha256 of the weights whose embeddings the heads are trained on."""
    return {name: tomllib.loads((MODELS / name / "model.toml").read_text())["weights"]["sha256"] for name in ("action", "sound")}


def shipped(clips):
    """The same of the weights that ship."""
    weights = load_file(MODELS / "action/weights.safetensors")
    config = tomllib.loads((MODELS / "action/model.toml").read_text())["arch_config"]
    head = action.Head(reduce=config["reduce"], width=config["channels"])
    own = {k[5:]: v.float() for k, v in weights.items() if k.startswith("head.") and not k.startswith("head.fc")}
    head.load_state_dict(own, strict=False)
    return pictures(head.eval(), clips)
