"""Heads that join the embeddings of a clip's picture and sound: four ways, one interface.

Inputs are [N, V] and [N, A], each with a mask [N] that says whether it is there; an embedding that is not is replaced by
a learned "missing" token. Output: logit [N] of a fight, and the joint vector that the discriminator of adversarial
training looks at.
"""
import torch
from torch import nn

METHODS = ["sum", "concat", "attention", "gated"]


class Reverse(torch.autograd.Function):
    """Gradient reversal (Ganin & Lempitsky, 2015)."""

    @staticmethod
    def forward(ctx, x, strength):
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad):
        return -ctx.strength * grad, None


class Fusion(nn.Module):
    def __init__(self, method, video=128, audio=128, width=32, drop=0.5):
        super().__init__()
        self.method, self.drop = method, drop
        self.video, self.audio = nn.Linear(video, width), nn.Linear(audio, width)
        self.no_video, self.no_audio = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.zeros(width))
        if method == "sum":  # each modality's own log-odds; they add up, and one that is missing adds nothing
            self.video_out, self.audio_out = nn.Linear(width, 1), nn.Linear(width, 1)
        elif method == "concat":
            self.joint, self.out = nn.Linear(2 * width, width), nn.Linear(width, 1)
        elif method == "attention":  # how much each modality is looked at, from both
            self.query, self.out = nn.Linear(2 * width, 2), nn.Linear(width, 1)
        elif method == "gated":  # serial: the sound opens and closes the picture's channels
            self.gate, self.out = nn.Linear(width, width), nn.Linear(width, 1)

    @torch.no_grad()
    def divide(self, temperature):
        """Log-odds divided by a temperature, in the last layers."""
        for layer in (self.video_out, self.audio_out) if self.method == "sum" else (self.out,):
            layer.weight /= temperature
            layer.bias /= temperature

    def forward(self, v, a, has_v, has_a):
        drop = lambda x: nn.functional.dropout(x, self.drop, self.training)
        v = torch.where(has_v[:, None], torch.relu(self.video(drop(v))), self.no_video)
        a = torch.where(has_a[:, None], torch.relu(self.audio(drop(a))), self.no_audio)
        if self.method == "sum":
            out = self.video_out(drop(v)) * has_v[:, None] + self.audio_out(drop(a)) * has_a[:, None]
            return out.squeeze(-1), torch.cat([v, a], 1)
        if self.method == "concat":
            x = torch.relu(self.joint(torch.cat([v, a], 1)))
        elif self.method == "attention":
            w = self.query(torch.cat([v, a], 1)).softmax(1)
            x = w[:, :1] * v + w[:, 1:] * a
        else:
            x = 2 * torch.sigmoid(self.gate(a)) * v
        return self.out(drop(x)).squeeze(-1), x


class Discriminator(nn.Module):
    """Which modalities a joint vector was made of: both, the picture alone, the sound alone."""

    def __init__(self, method, width=32):
        super().__init__()
        ins = 2 * width if method == "sum" else width
        self.net = nn.Sequential(nn.Linear(ins, 32), nn.ReLU(), nn.Linear(32, 3))

    def forward(self, x, strength):
        return self.net(Reverse.apply(x, strength))
