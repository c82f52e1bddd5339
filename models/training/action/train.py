"""Trains the clip model: python train.py --data DATA --cache CACHE --out OUT [--seeds 3] [--minutes 30]

First grouped cross-validation over all visible groups (train and val): out-of-fold scores of every clip, by as many
seeds as the minutes allow. Then the weights that ship, from the train groups only, so that val stays unseen; the
temperature and the threshold come from the out-of-fold scores of the train groups. Writes OUT/folds_SEED.json as it
goes, OUT/cv.json, OUT/weights.safetensors (f16) and OUT/trained.json.
"""
import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

import features
from figures import summary, tempered
from motion_cnn import Head

FOLDS, EPOCHS, BATCH = 9, 60, 24


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


def fit(clips, seed, epochs=EPOCHS, **head):
    """A head trained on the looks at `clips`, with the scale of its input folded in."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    clean = np.concatenate([c["clean"] for c in clips]).astype(np.float32)
    mean, std = clean.mean((0, 2, 3)), clean.std((0, 2, 3)) + 1e-3
    scale = torch.from_numpy(1 / std)[:, None, None], torch.from_numpy(mean / std)[:, None, None]
    net = Head(**head)
    average = torch.optim.swa_utils.AveragedModel(
        net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.98), use_buffers=True)
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.05)
    chance, steps = weights_of(clips), epochs * len(clips) // BATCH
    net.train()
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 1e-3 * min(1, (step + 1) / 20) * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * step / steps)))
        chosen = rng.choice(len(clips), BATCH, p=chance)
        x = torch.from_numpy(np.stack([look(clips[i], rng) for i in chosen])) * scale[0] - scale[1]
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
    net = average.module.eval()
    with torch.no_grad():  # a scale before a 1x1 convolution without bias: into its weights and its norm's mean
        conv, norm = net.reduce.conv, net.reduce.bn
        norm.running_mean += (conv.weight[:, :, 0, 0] * scale[1][:, 0, 0]).sum(1)
        conv.weight *= scale[0][None]
    return net


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


def fold_heads(clips, seed, out):
    """(which clips are held out, the head trained without them) for each fold; kept in OUT/heads."""
    (out / "heads").mkdir(parents=True, exist_ok=True)
    for k, part in enumerate(folds(np.array([c["group"] for c in clips]), seed)):
        at = out / f"heads/{seed}_{k}.pt"
        if at.exists():
            head = Head()
            head.load_state_dict(torch.load(at))
        else:
            head = fit([c for c, held in zip(clips, part) if not held], seed)
            torch.save(head.state_dict(), at)
        yield part, head.eval()


def out_of_fold(clips, seed, out):
    scores = np.zeros(len(clips))
    for part, head in fold_heads(clips, seed, out):
        scores[part] = logits(head, [c for c, held in zip(clips, part) if held])
    return scores


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "cache", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=60, help="no further seed is begun after so long")
    args = parser.parse_args()
    torch.set_num_threads(1)
    start, out = time.time(), Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    clips = features.compute(args.data, args.cache, args.views)
    found = []
    for seed in range(args.seeds):
        at = out / f"folds_{seed}.json"
        if not at.exists():
            if seed and time.time() - start > args.minutes * 60:
                break
            at.write_text(json.dumps(out_of_fold(clips, seed, out).tolist()))
        found.append(np.array(json.loads(at.read_text())))
        print(f"seed {seed}: {summary(clips, found[-1])}", flush=True)
    train = [c for c in clips if c["split"] == "train"]
    known = np.array([c["split"] == "train" for c in clips])
    temperature, threshold = tempered(train, np.mean(found, 0)[known])
    report = dict(seeds=[summary(clips, f) for f in found], mean=summary(clips, np.mean(found, 0)),
                  temperature=temperature, threshold=threshold, files=[c["file"] for c in clips],
                  logits=np.mean(found, 0).round(4).tolist())
    (out / "cv.json").write_text(json.dumps(report, indent=1))
    head = fit(train, 100)
    val = [c for c in clips if c["split"] == "val"]
    figures = summary(val, logits(head, val))
    print("val:", figures)
    ship(head, temperature, out)
    minutes = round((time.time() - start) / 60, 1)
    (out / "trained.json").write_text(json.dumps(dict(minutes=minutes, clips=len(train), val=figures)))


def ship(head, temperature, out):
    """f16 weights of the whole network. The temperature goes into the last layer, and its one log-odds becomes two logits."""
    trunk, _ = features.trunk()
    state = {f"trunk.{k}": v for k, v in trunk.state_dict().items()} | {f"head.{k}": v for k, v in head.state_dict().items()}
    for name in ("head.fc.weight", "head.fc.bias"):
        half = state[name] / temperature / 2
        state[name] = torch.cat([half, -half])
    save_file({k: v.half().contiguous() for k, v in state.items() if "num_batches" not in k}, out / "weights.safetensors")


if __name__ == "__main__":
    main()
