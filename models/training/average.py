"""The mean of two models' weights of one architecture: python average.py A.safetensors B.safetensors OUT.safetensors (f16)

Weights of a run and of one resumed from it lie close enough to be averaged (Wortsman et al. 2022, "Model soups").
"""
import sys

from safetensors.torch import load_file, save_file


def average(a, b, out):
    a, b = load_file(a), load_file(b)
    if a.keys() != b.keys():
        raise SystemExit(f"not of one architecture: {sorted(a.keys() ^ b.keys())[:4]}")
    save_file({name: ((a[name].float() + b[name].float()) / 2).half().contiguous() for name in a}, out)


if __name__ == "__main__":
    average(*sys.argv[1:])
