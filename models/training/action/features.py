"""Motion maps of the clips, computed once: python features.py --data DATA --cache CACHE [--views 16] [--trunk detector]

For each clip its windows as the daemon sees them (5 frames a second, 2 s, the moving part of the picture), and made-up
looks for training. The trunk stays as it was, so that maps can be kept, by trunk, and the head trains in minutes. It is
that of the shipped clip model, which is detector 1.1.0's: the detector has changed since, so its own trunk
(`--trunk detector`) gives another clip model than the card's.
"""
import argparse
import hashlib
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import load_file

import fights
from looks import region, view
from motion_cnn import Trunk, motion

KEPT, SIZE = (320, 192), (160, 96)  # width, height: of what is kept of a picture, and of the network's input
FRAMES, LEAST, RATE_HZ, FILE_FPS = 10, 5, 5.0, 15
MODELS = Path(__file__).resolve().parents[2]


def taps(ins, outs):
    """[outs, ins]: a triangle filter, widened when the picture shrinks, so that every pixel counts."""
    step = ins / outs
    reach = max(step, 1.0)
    centre = (np.arange(outs) + 0.5) * step - 0.5
    weight = np.maximum(1 - np.abs(np.arange(ins) - centre[:, None]) / reach, 0)
    return (weight / weight.sum(1, keepdims=True)).astype(np.float32)


def resized(pictures, size=SIZE):
    """[T, h, w, 3] uint8 -> [T, height, width, 3] whole numbers, as src/nn/action.rs does it."""
    x = np.tensordot(pictures.astype(np.float32), taps(pictures.shape[2], size[0]), (2, 1))  # T h 3 W
    x = np.tensordot(x, taps(pictures.shape[1], size[1]), (1, 1)).transpose(0, 3, 2, 1)
    return np.floor(x + 0.5)


def seen(pictures):
    """[T, h, w, 3] uint8 -> [T, height, width, 3]: shrunk, cut to where it moves, and shrunk again."""
    kept = resized(pictures, KEPT)
    x1, y1, x2, y2 = region(kept)
    return resized(kept[:, y1:y2, x1:x2])


def windows(frames, file_fps=FILE_FPS):
    """Lists of frame numbers: FRAMES of a stream of RATE_HZ each, 0.4 s (a quarter of FRAMES) apart, as `models eval` looks;
    the daemon looks every half second. A shorter clip is one window."""
    kept = np.arange(0, len(frames), file_fps / RATE_HZ).astype(int)
    starts = range(0, max(len(kept) - FRAMES, 0) + 1, FRAMES // 4)
    return [spread(kept[start: start + FRAMES]) for start in starts]


def spread(kept):
    """At most FRAMES and at least LEAST of them, evenly."""
    n = min(max(len(kept), LEAST), FRAMES)
    return kept[((np.arange(n) + 0.5) * len(kept) / n).astype(int)]


# Model folder → prefix of the trunk's weights in it.
TRUNKS = {"action": "trunk.", "detector": "backbone.backbone."}


def trunk(source="action"):
    """(the network, a name that only the same weights have)"""
    net, prefix = Trunk(), TRUNKS[source]
    weights = load_file(MODELS / source / "weights.safetensors")
    own = {k[len(prefix):]: v.float() for k, v in weights.items() if k.startswith(prefix) and ".dark5" not in k}
    missing = net.load_state_dict(own, strict=False)
    assert not missing.unexpected_keys and all(k.endswith("num_batches_tracked") for k in missing.missing_keys)
    values = b"".join(own[k].numpy().tobytes() for k in sorted(own))
    return net.eval().to(memory_format=torch.channels_last), hashlib.sha256(values).hexdigest()[:12]


@torch.no_grad()
def planes(net, pictures):
    """[T, h, w, 3] RGB of the network's size -> [T, C, h / 16, w / 16]"""
    x = torch.from_numpy(np.ascontiguousarray(pictures[..., ::-1], np.float32)).permute(0, 3, 1, 2)
    x = ((x - 114) / 64).contiguous(memory_format=torch.channels_last)
    return net(x).float().numpy()


def maps(net, pictures):
    """[T, h, w, 3] -> [C', h / 16, w / 16]"""
    return motion(torch.from_numpy(planes(net, pictures))[None])[0].numpy()


def compute(data, cache, views, source="action", made=maps, name="action"):
    """Clips with `clean` [windows, …] and `looks` [views, …], of what `made` makes of a window."""
    clips = fights.load(data, cache)
    net, weights = trunk(source)
    folder = Path(cache) / f"{name}_{SIZE[0]}x{SIZE[1]}_{FRAMES}_{weights}"
    folder.mkdir(exist_ok=True)
    for i, clip in enumerate(clips):
        at = folder / f"{i:03}.npz"
        if at.exists():
            kept = np.load(at)
            clean, looks = kept["clean"], kept["looks"]
        else:
            clean, looks = None, np.zeros((0,), np.float16)
        if clean is None:
            clean = np.stack([made(net, seen(np.asarray(clip["frames"][w]))) for w in windows(clip["frames"])])
            clean = clean.astype(np.float16)
        if len(looks) < views:
            more = []
            for v in range(len(looks), views):
                rng = np.random.default_rng([i, v])
                with torch.autocast("cpu", torch.bfloat16):
                    more.append(made(net, view(clip["frames"], FILE_FPS, FRAMES, RATE_HZ, SIZE, rng)))
            looks = np.concatenate([*([looks] if len(looks) else []), np.stack(more).astype(np.float16)])
            np.savez(at, clean=clean, looks=looks)
        clip["clean"], clip["looks"] = clean, looks
        if i % 50 == 0:
            print("features", i, flush=True)
    return clips


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--cache", required=True)
    parser.add_argument("--views", type=int, default=16)
    parser.add_argument("--trunk", choices=TRUNKS, default="action", help="the model whose trunk it is")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    compute(args.data, args.cache, args.views, args.trunk)
