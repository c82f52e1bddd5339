"""Trains the clip model: python train.py --data DATA --cache CACHE --out OUT [--seeds 3] [--minutes 30] [--resume FILE]

First grouped cross-validation over all visible groups (train and val): out-of-fold scores of every clip, by so many
seeds. Then the weights that ship, from the train groups only, so that val stays unseen; the temperature and the
threshold come from the out-of-fold scores of the train groups. The trunk is the shipped clip model's (see features.py).

Each head has an equal part of --minutes, of CPU, the motion maps apart. Its rate falls with the share of its rounds or of
its time that is done, whichever is more. Finished heads are kept, in OUT/heads and OUT/checkpoint.pt: with the same OUT,
what was cut off goes on. `--resume` takes shipped weights.safetensors: the head that ships goes on from these at half the
rate. The folds' heads do not, as shipped weights know all the train groups. Writes OUT/folds_SEED.json, OUT/cv.json,
OUT/weights.safetensors (f16) and OUT/trained.json.
"""
import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

import features
from figures import summary, tempered
from motion_cnn import Head

FOLDS, EPOCHS, BATCH, RATE = 9, 60, 24, 1e-3


def folds(groups, seed):
    """Nine parts of whole groups of about equal size."""
    rng, parts = np.random.default_rng(seed), [[] for _ in range(FOLDS)]
    names, sizes = np.unique(groups, return_counts=True)
    for i in np.lexsort((rng.random(len(names)), -sizes)):
        min(parts, key=lambda p: sum(sizes[j] for j in p)).append(i)
    return [np.isin(groups, names[p]) for p in parts]


def weights_of(clips):
    """Each class counts the same, and no group more than a few clips' worth."""
    groups, counts = np.unique([c["group"] for c in clips], return_counts=True)
    size = dict(zip(groups, counts))
    w = np.array([size[c["group"]] ** -0.4 for c in clips])
    y = np.array([c["target"] for c in clips])
    for k in (0, 1):
        w[y == k] /= w[y == k].sum()
    return w / 2


@torch.no_grad()
def take_in(net, scale, shift):
    """x * scale - shift before a 1x1 convolution without bias: into its weights and its norm's mean."""
    conv, norm = net.reduce.conv, net.reduce.bn
    norm.running_mean += (conv.weight[:, :, 0, 0] * shift[:, 0, 0]).sum(1)
    conv.weight *= scale[None]


def fit(clips, seed, seconds=np.inf, start=None):
    """A head trained on the looks at `clips` in so many seconds of CPU at most, with the scale of its input folded in.
    `start`: the weights that it begins with, at half the rate."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    clean = np.concatenate([c["clean"] for c in clips]).astype(np.float32)
    mean, std = clean.mean((0, 2, 3)), clean.std((0, 2, 3)) + 1e-3
    scale = torch.from_numpy(1 / std)[:, None, None], torch.from_numpy(mean / std)[:, None, None]
    net, rate = Head(), RATE / 2 if start else RATE
    if start:
        net.load_state_dict(start, strict=False)
        take_in(net, 1 / scale[0], -scale[1] / scale[0])  # back to what is behind the scale
    net = trained(net, clips, rng, rate, seconds, lambda x: x * scale[0] - scale[1])
    take_in(net, *scale)
    return net


def trained(net, clips, rng, rate, seconds, ready):
    """`net` after its rounds over the looks, which `ready` prepares; its weights averaged."""
    average = torch.optim.swa_utils.AveragedModel(
        net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.98), use_buffers=True)
    optimiser = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=0.05)
    chance, steps = weights_of(clips), EPOCHS * len(clips) // BATCH
    began, step = time.process_time(), 0
    net.train()
    while (done := max(step / steps, (time.process_time() - began) / seconds)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 20) * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * done)))
        chosen = rng.choice(len(clips), BATCH, p=chance)
        x = ready(torch.from_numpy(np.stack([look(clips[i], rng) for i in chosen])))
        y = torch.tensor([clips[i]["target"] for i in chosen], dtype=torch.float32)
        mix = torch.from_numpy(rng.beta(0.4, 0.4, BATCH).astype(np.float32))
        other = torch.from_numpy(rng.permutation(BATCH))
        x = mix[:, None, None, None] * x + (1 - mix)[:, None, None, None] * x[other]
        y = mix * y + (1 - mix) * y[other]
        loss = F.binary_cross_entropy_with_logits(net(x), 0.05 + 0.9 * y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        average.update_parameters(net)
        step += 1
    return average.module.eval()


def look(clip, rng):
    """One of the clip's looks or windows, mirrored or not, with a hole or not."""
    pool = clip["looks"] if rng.random() < 0.75 else clip["clean"]
    x = pool[rng.integers(len(pool))].astype(np.float32)
    if rng.random() < 0.5:
        x = x[:, :, ::-1].copy()
    if rng.random() < 0.3:
        h, w = x.shape[1:]
        a, b = rng.integers(0, h - 1), rng.integers(0, w - 2)
        x[:, a: a + rng.integers(1, 3), b: b + rng.integers(1, 4)] = 0
    return x


@torch.no_grad()
def logits(net, clips):
    """Mean over each clip's windows."""
    return np.array([net(torch.from_numpy(c["clean"].astype(np.float32))).mean().item() for c in clips])


def kept(at, net, make):
    """`net` with the weights in the file `at`; where it is not there, what `make` gives, kept there."""
    if not at.exists():
        at.parent.mkdir(parents=True, exist_ok=True)
        torch.save(make().state_dict(), at.with_suffix(".new"))
        at.with_suffix(".new").rename(at)
    net.load_state_dict(torch.load(at))
    return net.eval()


def fold_heads(clips, seed, out, seconds=np.inf):
    """(which clips are held out, the head trained without them) for each fold; kept in OUT/heads."""
    for k, part in enumerate(folds(np.array([c["group"] for c in clips]), seed)):
        rest = [c for c, held in zip(clips, part) if not held]
        yield part, kept(out / f"heads/{seed}_{k}.pt", Head(), lambda: fit(rest, seed, seconds))


def out_of_fold(clips, seed, out, seconds):
    scores = np.zeros(len(clips))
    for part, head in fold_heads(clips, seed, out, seconds):
        scores[part] = logits(head, [c for c, held in zip(clips, part) if held])
    return scores


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "cache", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=60, help="of CPU, all heads together")
    parser.add_argument("--resume", help="shipped weights.safetensors")
    parser.add_argument("--trunk", choices=features.TRUNKS, default="action", help="the model whose trunk it is")
    args = parser.parse_args()
    torch.set_num_threads(1)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    clips = features.compute(args.data, args.cache, args.views, args.trunk)
    began, seconds = time.process_time(), args.minutes * 60 / (args.seeds * FOLDS + 1)
    found = []
    for seed in range(args.seeds):
        at = out / f"folds_{seed}.json"
        if not at.exists():
            at.write_text(json.dumps(out_of_fold(clips, seed, out, seconds).tolist()))
        found.append(np.array(json.loads(at.read_text())))
        print(f"seed {seed}: {summary(clips, found[-1])}", flush=True)
    train = [c for c in clips if c["split"] == "train"]
    known = np.array([c["split"] == "train" for c in clips])
    temperature, threshold = tempered(train, np.mean(found, 0)[known])
    report = dict(seeds=[summary(clips, f) for f in found], mean=summary(clips, np.mean(found, 0)),
                  temperature=temperature, threshold=threshold, files=[c["file"] for c in clips],
                  logits=np.mean(found, 0).round(4).tolist())
    (out / "cv.json").write_text(json.dumps(report, indent=1))
    start = shipped(args.resume, temperature) if args.resume else None
    head = kept(out / "checkpoint.pt", Head(), lambda: fit(train, 100, seconds, start))
    val = [c for c in clips if c["split"] == "val"]
    figures = summary(val, logits(head, val))
    print("val:", figures)
    ship(head, temperature, args.trunk, out)
    minutes = round((time.process_time() - began) / 60, 1)
    (out / "trained.json").write_text(json.dumps(dict(minutes=minutes, clips=len(train), val=figures)))


def shipped(weights, temperature):
    """The head of shipped weights as it was before `ship`."""
    state = {k[5:]: v.float() for k, v in load_file(weights).items() if k.startswith("head.")}
    for name in ("fc.weight", "fc.bias"):
        state[name] = (state[name][:1] - state[name][1:]) * temperature
    return state


def ship(head, temperature, source, out):
    """f16 weights of the whole network. The temperature goes into the last layer, and its one log-odds becomes two logits."""
    trunk, _ = features.trunk(source)
    state = {f"trunk.{k}": v for k, v in trunk.state_dict().items()} | {f"head.{k}": v for k, v in head.state_dict().items()}
    for name in ("head.fc.weight", "head.fc.bias"):
        half = state[name] / temperature / 2
        state[name] = torch.cat([half, -half])
    save_file({k: v.half().contiguous() for k, v in state.items() if "num_batches" not in k}, out / "weights.safetensors")


if __name__ == "__main__":
    main()
