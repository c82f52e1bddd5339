"""Learned fusion of picture and sound: python train.py --data DATA --cache CACHE --action OUT --out OUT [--method sum] [--adversarial]

Without --method: the table of all ways, grouped cross-validation over the same folds and seeds as the clip model's, each
with everything, with the sound missing, and with the picture black; then the four heads that ship, trained on the train
groups. With --method one way is measured only. Writes OUT/table.json and OUT/weights.safetensors (f16).
"""
import argparse
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

import embeddings
from heads import METHODS, Discriminator, Fusion

STEPS, BATCH = 200, 64
# Sound is there in so many samples, and the picture in so many of these; the same in both classes.
SOUND, PICTURE = 0.6, 0.75


def scaled(clean, sound, has_sound):
    """Mean and spread of each dimension, of the picture and of real sounds."""
    a = sound[has_sound]
    return [(x.mean(0), x.std(0) + 1e-3) for x in (clean, a)]


def fit(clips, clean, looks, sound, has_sound, method, adversarial, seed):
    """Trained on `clips`, the scale of the inputs folded into the first layers."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    scale = scaled(clean, sound, has_sound)
    y = np.array([c["target"] for c in clips])
    net = Fusion(method, clean.shape[1], sound.shape[1])
    critic = Discriminator(method)
    parameters = [*net.parameters(), *(critic.parameters() if adversarial else [])]
    optimiser = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=0.05)
    pools = {(k, s): np.flatnonzero((y == k) & (has_sound | (not s))) for k in (0, 1) for s in (False, True)}
    net.train()
    for step in range(STEPS):
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * step / STEPS)))
        target = np.arange(BATCH) % 2
        has_a = rng.random(BATCH) < SOUND
        has_v = ~has_a | (rng.random(BATCH) < PICTURE)
        chosen = np.array([rng.choice(pools[k, bool(s)]) for k, s in zip(target, has_a)])
        pick = rng.integers(0, looks.shape[1] + 1, BATCH)
        v = np.where(pick[:, None] == looks.shape[1], clean[chosen], looks[chosen, np.minimum(pick, looks.shape[1] - 1)])
        v = (v - scale[0][0]) / scale[0][1] + 0.1 * rng.standard_normal(v.shape)
        a = (sound[chosen] - scale[1][0]) / scale[1][1] + 0.1 * rng.standard_normal((BATCH, sound.shape[1]))
        tensors = [torch.from_numpy(np.asarray(x, np.float32)) for x in (v, a)] + [torch.from_numpy(m) for m in (has_v, has_a)]
        logit, joint = net(*tensors)
        loss = F.binary_cross_entropy_with_logits(logit, torch.from_numpy(0.05 + 0.9 * target).float())
        if adversarial:
            which = torch.from_numpy(np.where(has_a & has_v, 0, np.where(has_v, 1, 2)))
            loss = loss + F.cross_entropy(critic(joint, 0.5 * min(1, step / (STEPS / 2))), which)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        for layer, (mean, std) in zip((net.video, net.audio), scale):
            layer.weight /= torch.from_numpy(std.astype(np.float32))
            layer.bias -= layer.weight @ torch.from_numpy(mean.astype(np.float32))
    return net.eval()


@torch.no_grad()
def logits(net, clean, sound, has_v, has_a):
    return net(torch.from_numpy(clean), torch.from_numpy(sound), torch.from_numpy(has_v), torch.from_numpy(has_a))[0].numpy()


def out_of_fold(folds, clips, sound, has_sound, method, adversarial, seed):
    """Three columns: everything there, the sound missing, the picture black."""
    out = np.zeros((len(clips), 3))
    for held, clean, looks in folds:
        kept = [c for c, h in zip(clips, held) if not h]
        net = fit(kept, clean[~held], looks[~held], sound[~held], has_sound[~held], method, adversarial, seed)
        yes, no = np.ones(held.sum(), bool), np.zeros(held.sum(), bool)
        for k, (has_v, has_a) in enumerate(((yes, has_sound[held]), (yes, no), (no, has_sound[held]))):
            out[held, k] = logits(net, clean[held], sound[held], has_v, has_a)
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "cache", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--action", required=True, help="OUT of the clip model's training")
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--method", choices=METHODS)
    parser.add_argument("--adversarial", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    clips = embeddings.features.compute(args.data, args.cache, args.views, embeddings.features.SHIPPED)
    sound, has_sound = embeddings.sounds(args.data, args.cache, clips)
    folds = [embeddings.by_fold(args.action, clips, seed) for seed in range(args.seeds)]
    ways = [(args.method, args.adversarial)] if args.method else [(m, a) for m in METHODS for a in (False, True)]
    real = np.flatnonzero(has_sound)
    table, summary = {}, embeddings.action.summary
    of_real = lambda s: summary([clips[i] for i in real], s[real])
    for method, adversarial in ways:
        scores = np.mean([out_of_fold(f, clips, sound, has_sound, method, adversarial, s) for s, f in enumerate(folds)], 0)
        table[method + (" adversarial" if adversarial else "")] = {
            name: dict(all=summary(clips, scores[:, k]), real_sound=of_real(scores[:, k]))
            for k, name in enumerate(("both", "sound missing", "picture black"))}
        print(method, adversarial, json.dumps(table[method + (" adversarial" if adversarial else "")]), flush=True)
        (out / "table.json").write_text(json.dumps(table, indent=1))
    if not args.method:
        train = [i for i, c in enumerate(clips) if c["split"] == "train"]
        ship(train, clips, sound, has_sound, out)


def ship(train, clips, sound, has_sound, out):
    """The four heads, without adversarial training unless the table speaks for it (see the card)."""
    clean, looks = embeddings.shipped(clips)
    state = {}
    for method in METHODS:
        net = fit([clips[i] for i in train], clean[train], looks[train], sound[train], has_sound[train], method, False, 0)
        state |= {f"{method}.{k}": v.half().contiguous() for k, v in net.state_dict().items()}
    save_file(state, out / "weights.safetensors")


if __name__ == "__main__":
    main()
