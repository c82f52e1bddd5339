"""Muon (K. Jordan 2024) for convolutions that a norm follows: the momentum, orthogonalised, is the step."""
import torch


def orthogonal(g):
    """The nearest matrix with singular values near 1, by five Newton-Schulz steps of Muon's quintic."""
    x = g.flatten(1)
    wide = x if x.shape[0] <= x.shape[1] else x.T
    wide = (wide / (wide.norm() + 1e-7)).bfloat16()
    for _ in range(5):
        a = wide @ wide.T
        wide = 3.4445 * wide + (-4.7750 * a + 2.0315 * a @ a) @ wide
    return (wide if x.shape[0] <= x.shape[1] else wide.T).float().view_as(g)


class Muon(torch.optim.Optimizer):
    """The step is `lr` of the filters' norm, which is held at sqrt(outs): behind a norm only its direction counts."""

    def __init__(self, params, lr):
        super().__init__(params, dict(lr=lr, momentum=0.9))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                kept = self.state[p].setdefault("momentum", torch.zeros_like(p.grad))
                kept.mul_(group["momentum"]).add_(p.grad)
                p.mul_(p.shape[0] ** 0.5 / (p.norm() + 1e-7))
                p.sub_(orthogonal(p.grad + group["momentum"] * kept), alpha=group["lr"])
