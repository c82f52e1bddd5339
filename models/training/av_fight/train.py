"""Learned fusion of picture and sound: python train.py --data DATA --cache CACHE --action OUT --out OUT [--method sum]
    [--adversarial] [--minutes 30] [--resume FILE]

Without --method: the table of all ways, grouped cross-validation over the same folds and seeds as the clip model's, each
with everything, with the sound missing, the picture missing, and the picture black, beside the clip model alone and the
sound alone; then the four heads that ship, trained on the train groups and divided by their temperatures. With --method one way is measured
only. Writes OUT/table.json, OUT/weights.safetensors (f16) and OUT/beside.toml, the models that the heads belong to.

Each head has an equal part of --minutes, of CPU, the embeddings apart. Its rate falls with the share of its steps or of its
time that is done, whichever is more. Finished heads are kept in OUT/heads, by way, seed and fold: with the same OUT, what
was cut off goes on. `--resume` takes shipped weights.safetensors: the heads that ship go on from these at half the rate.
The folds' heads do not, as shipped weights know all the train groups.
"""
import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

import embeddings
from figures import auc, by_group, summary, tempered
from heads import METHODS, Discriminator, Fusion

STEPS, BATCH, RATE = 200, 64, 2e-3
# Sound is there in so many samples, and the picture in so many of these; the same in both classes.
SOUND, PICTURE = 0.6, 0.75


def scaled(clean, sound, has_sound):
    """Mean and spread of each dimension, of the picture and of real sounds."""
    a = sound[has_sound]
    return [(x.mean(0), x.std(0) + 1e-3) for x in (clean, a)]


@torch.no_grad()
def take_in(net, scale):
    """(x - mean) / std before the first layers goes into these."""
    for layer, (mean, std) in zip((net.video, net.audio), scale):
        layer.weight /= torch.from_numpy(std.astype(np.float32))
        layer.bias -= layer.weight @ torch.from_numpy(mean.astype(np.float32))


def fit(clips, clean, looks, sound, has_sound, method, adversarial, seed, seconds, shown=(SOUND, PICTURE), start=None):
    """Trained on `clips` in so many seconds of CPU at most, the scale of the inputs folded into the first layers. `shown`:
    how often there is a sound, and a picture beside it. `start`: the head that it begins with, at half the rate."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    scale = scaled(clean, sound, has_sound)
    y = np.array([c["target"] for c in clips])
    net, rate = Fusion(method, clean.shape[1], sound.shape[1]), RATE / 2 if start else RATE
    if start:
        net.load_state_dict(start.state_dict())
        take_in(net, [(-mean / std, 1 / std) for mean, std in scale])  # back to what is behind the scale
    critic = Discriminator(method)
    parameters = [*net.parameters(), *(critic.parameters() if adversarial else [])]
    optimiser = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.05)
    pools = {(k, s): np.flatnonzero((y == k) & (has_sound | (not s))) for k in (0, 1) for s in (False, True)}
    began, step = time.process_time(), 0
    net.train()
    while (done := max(step / STEPS, (time.process_time() - began) / seconds)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = rate * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * done)))
        target = np.arange(BATCH) % 2
        has_a = rng.random(BATCH) < shown[0]
        has_v = ~has_a | (rng.random(BATCH) < shown[1])
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
            loss = loss + F.cross_entropy(critic(joint, 0.5 * min(1, 2 * done)), which)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        step += 1
    take_in(net, scale)
    return net.eval()


@torch.no_grad()
def logits(net, clean, sound, has_v, has_a):
    return net(torch.from_numpy(clean), torch.from_numpy(sound), torch.from_numpy(has_v), torch.from_numpy(has_a))[0].numpy()


def answers(net, clean, sound, has_sound):
    """[clips, 3]: everything there, the sound missing, the picture missing. As the daemon answers (src/fusion/blend.rs):
    what the two say together takes back at most what each says alone."""
    yes, no = np.ones(len(clean), bool), np.zeros(len(clean), bool)
    both, v, a, none = (logits(net, clean, sound, *has) for has in ((yes, has_sound), (yes, no), (no, has_sound), (no, no)))
    v_gain, a_gain = v - none, a - none
    together = both - none - v_gain - a_gain
    gains = np.stack([v_gain, a_gain])
    lowest = np.where(gains > 0, -gains, -np.inf).max(0)
    highest = np.where(gains < 0, -gains, np.inf).min(0)
    held = none + v_gain + a_gain + np.clip(together, lowest, highest)
    return np.stack([np.where(has_sound, held, v), v, a], 1)


def out_of_fold(folds, clips, sound, has_sound, method, adversarial, seed, seconds, heads, shown=(SOUND, PICTURE)):
    """[clips, 4]: as `answers`, and with a black picture beside the sound; each fold's head is kept in the folder `heads`."""
    out = np.zeros((len(clips), 4))
    for k, (held, clean, looks, black, _) in enumerate(folds):
        rest = [c for c, h in zip(clips, held) if not h]
        net = embeddings.action.kept(heads / f"{seed}_{k}.pt", Fusion(method), lambda: fit(
            rest, clean[~held], looks[~held], sound[~held], has_sound[~held], method, adversarial, seed, seconds, shown))
        covered = np.broadcast_to(black, clean[held].shape).astype(np.float32)
        out[held, :3] = answers(net, clean[held], sound[held], has_sound[held])
        out[held, 3] = answers(net, covered, sound[held], has_sound[held])[:, 0]
    return out


def gain(clips, a, b):
    """AUC of `a` less that of `b`, with its interval over groups: both on the same draws."""
    y = np.array([c["target"] for c in clips])
    more = lambda i: auc(y[i], a[i]) - auc(y[i], b[i])
    return [round(float(more(np.arange(len(y)))), 3), *by_group(clips, more)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "cache", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--action", required=True, help="OUT of the clip model's training")
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--method", choices=METHODS)
    parser.add_argument("--adversarial", action="store_true")
    parser.add_argument("--minutes", type=float, default=30, help="of CPU, all heads together")
    parser.add_argument("--resume", help="shipped weights.safetensors")
    args = parser.parse_args()
    if args.adversarial and not args.method:
        parser.error("--adversarial goes with --method; without that both trainings of every way are measured")
    torch.set_num_threads(1)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    clips = embeddings.features.compute(args.data, args.cache, args.views)
    sound, has_sound = embeddings.sounds(args.data, args.cache, clips)
    folds = [embeddings.by_fold(args.action, clips, seed) for seed in range(args.seeds)]
    real = np.flatnonzero(has_sound)
    real_clips = [clips[i] for i in real]
    mean = lambda of: np.mean([of(f, s) for s, f in enumerate(folds)], 0)
    picture = mean(lambda f, _: sum(np.where(held, alone, 0) for held, *_, alone in f))
    ways = [(args.method, args.adversarial)] if args.method else [(m, a) for m in METHODS for a in (False, True)]
    seconds = args.minutes * 60 / (sum(map(len, folds)) * (1 + len(ways)) + len(METHODS))
    # A head that never sees a picture; only of clips with a real sound does it say anything.
    heard = mean(lambda f, s: out_of_fold(
        f, clips, sound, has_sound, "sum", False, s, seconds, out / "heads/sound alone", shown=(1, 0)))[:, 2]
    both = lambda scores: dict(all=summary(clips, scores), real_sound=summary(real_clips, scores[real]))
    table = {"picture alone": both(picture), "sound alone": dict(real_sound=summary(real_clips, heard[real]))}
    temperatures = {}
    known = np.array([c["split"] == "train" for c in clips])
    train = [c for c in clips if c["split"] == "train"]
    for method, adversarial in ways:
        name = method + (" adversarial" if adversarial else "")
        scores = mean(lambda f, s: out_of_fold(
            f, clips, sound, has_sound, method, adversarial, s, seconds, out / "heads" / name))
        table[name] = {k: both(scores[:, i]) for i, k in enumerate(("both", "sound missing", "picture missing", "picture black"))}
        table[name]["gain over picture alone"] = dict(
            all=gain(clips, scores[:, 0], picture), real_sound=gain(real_clips, scores[real, 0], picture[real]))
        temperature, threshold = tempered(train, scores[known, 0])
        table[name] |= dict(temperature=temperature, threshold=threshold)
        if not adversarial:
            temperatures[method] = temperature
        print(name, json.dumps(table[name]), flush=True)
        (out / "table.json").write_text(json.dumps(table, indent=1))
    if not args.method:
        ship(clips, known, sound, has_sound, temperatures, seconds, args.resume, out)


def shipped(weights, method, temperature):
    """A head of shipped weights as it was before its temperature."""
    net, prefix = Fusion(method), f"{method}."
    net.load_state_dict({k[len(prefix):]: v.float() for k, v in load_file(weights).items() if k.startswith(prefix)})
    net.divide(1 / temperature)
    return net


def ship(clips, known, sound, has_sound, temperatures, seconds, resume, out):
    """The four heads, without adversarial training unless the table speaks for it (see the card)."""
    clean, looks = embeddings.shipped(clips)
    train = [c for c in clips if c["split"] == "train"]
    state = {}
    for method in METHODS:
        start = shipped(resume, method, temperatures[method]) if resume else None
        net = embeddings.action.kept(out / f"heads/{method}.pt", Fusion(method), lambda: fit(
            train, clean[known], looks[known], sound[known], has_sound[known], method, False, 0, seconds, start=start))
        net.divide(temperatures[method])
        state |= {f"{method}.{k}": v.half().contiguous() for k, v in net.state_dict().items()}
    save_file(state, out / "weights.safetensors")
    (out / "beside.toml").write_text("[beside]\n" + "".join(f'{k} = "{v}"\n' for k, v in embeddings.beside().items()))


if __name__ == "__main__":
    main()
