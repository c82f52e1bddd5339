"""Calibrates each label on the validation clips: python calibrate.py --data DATA --cache CACHE --weights IN --out FILE

Platt's method: p = sigmoid(a z + b) on the clip's highest logit z, with a and b drawn towards 1 and 0 because some labels
have eight clips only. The two numbers are folded into the head, so that nothing but the weights changes. glass_break has
no validation clips and stays as it is.
"""
import argparse

import numpy as np
import torch
from safetensors.torch import save_file

import data as packs
from evaluate import logits, network
from model import LABELS

DRAWN = 0.02


def platt(z, true):
    """(a, b) of the least cross-entropy."""
    z, true = torch.tensor(z, dtype=torch.float64), torch.tensor(true, dtype=torch.float64)
    ab = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([ab], max_iter=200, line_search_fn="strong_wolfe")

    def loss():
        optimiser.zero_grad()
        value = torch.nn.functional.binary_cross_entropy_with_logits(ab[0] * z + ab[1], true)
        value = value + DRAWN * ((ab[0] - 1) ** 2 + ab[1] ** 2 / 4)
        value.backward()
        return value

    optimiser.step(loss)
    return [float(v) for v in ab.detach()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "cache", "weights", "out"):
        parser.add_argument(f"--{name}", required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = network(args.weights)
    valid = packs.part(packs.load(args.data, args.cache), "valid")
    best = np.stack([logits(model, c).max(0) for c in valid])
    for k, label in enumerate(LABELS):
        true = np.array([c["label"] == label for c in valid], float)
        if label == "background" or not true.any():
            continue  # the highest background over patches says nothing of a clip
        a, b = platt(best[:, k], true)
        print(f"{label}: a {a:.3f}, b {b:.3f}")
        with torch.no_grad():
            model.head.weight[k] *= a
            model.head.bias[k] = model.head.bias[k] * a + b
    save_file({k: v.half().contiguous() for k, v in model.state_dict().items() if "num_batches" not in k}, args.out)


if __name__ == "__main__":
    main()
