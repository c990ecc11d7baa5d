#!/usr/bin/env python3
"""The PyTorch side of `cargo bench --bench components`: one measured repetition for each line of standard input.

    python peer_components.py --threads 2 < lines

A line is `SIZE COMPONENT MODE`, such as `tiny attention backward`; MODE is `forward` (without gradients) or `backward`
(forward and backward of the sum of the output times a constant). The answer is one line: milliseconds, and the sum of
the output's values. The inputs are the same as those of the bench, the weights are not.

Blocks, adapters, OTAM and the prototype module are those of the file that --peer or MACLIP_PEER names. The other
distances are written here, each as a few operations on whole tensors.
"""

import argparse
import importlib
import os
import sys
import time
from itertools import combinations
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

WAY, QUERIES, FRAMES = 5, 25, 8
TRX_WIDTH = 1152
# Clips, tokens N + 1, width D, heads, blocks, embedding E.
SIZES = {"tiny": (30, 37, 128, 4, 4, 64), "vit-b-32": (10, 50, 768, 12, 12, 512)}


def load(path):
    sys.path.insert(0, str(path.parent))
    return importlib.import_module(path.stem)


def wave(shape, seed):
    """The values that the bench also makes: sin(0.7 i + seed) at position i."""
    count = torch.Size(shape).numel()
    return torch.sin(0.7 * torch.arange(count, dtype=torch.float64) + seed).float().view(shape)


class Trx(nn.Module):
    """TRX for tuples of 2 and 3 frames; a query tuple attends to the tuples of all shots of a class at once."""

    def __init__(self, e):
        super().__init__()
        sizes = (2, 3)
        self.keys = nn.ModuleList(nn.Linear(size * e, TRX_WIDTH) for size in sizes)
        self.values = nn.ModuleList(nn.Linear(size * e, TRX_WIDTH) for size in sizes)
        self.norms = nn.ModuleList(nn.LayerNorm(TRX_WIDTH) for _ in sizes)
        self.tuples = [torch.tensor(list(combinations(range(FRAMES), size))) for size in sizes]
        angles = torch.arange(FRAMES)[:, None] * torch.exp(-torch.arange(0, e, 2) * (9.210340371976184 / e))
        self.codes = 0.1 * torch.stack([angles.sin(), angles.cos()], -1).flatten(1)

    def forward(self, query, support):
        """query [Q, T, E], support [W, K, T, E] -> [Q, W]."""
        (q, _, e), (w, k, _, _) = query.shape, support.shape
        distances = 0
        for keys, values, norm, tuples in zip(self.keys, self.values, self.norms, self.tuples):
            join = lambda x: (x + self.codes)[:, tuples].flatten(2)
            ours, theirs = join(query), join(support.reshape(w * k, FRAMES, e))
            p = len(tuples)
            q_keys = norm(keys(ours)).view(1, q * p, -1)
            s_keys = norm(keys(theirs)).view(w, k * p, -1)
            weights = torch.softmax(q_keys @ s_keys.transpose(1, 2) * TRX_WIDTH**-0.5, -1)
            prototypes = weights @ values(theirs).view(w, k * p, -1)
            squares = (values(ours).view(1, q * p, -1) - prototypes).pow(2).sum(-1)
            distances = distances + squares.view(w, q, p).sum(-1) / p
        return (distances / len(self.tuples)).T


def bi_mhm(query, support):
    """query [Q, T, E], support [W, T, E] -> [Q, W]."""
    units = lambda x: F.normalize(x, dim=-1).flatten(0, 1)
    costs = 1 - (units(query) @ units(support).T).view(len(query), FRAMES, len(support), FRAMES)
    return costs.amin(3).sum(1) + costs.amin(1).sum(-1)


def mean_cosine(query, support):
    """The same shapes."""
    return -F.normalize(query.mean(1), dim=-1) @ F.normalize(support.mean(1), dim=-1).T


class Side:
    """The components of one size."""

    def __init__(self, peer, size):
        b, n, d, heads, depth, e = SIZES[size]
        torch.manual_seed(1)
        block = peer.Block(d, heads, e, 0.5)
        tpcm = peer.Peer(d, 0, heads, 8, 8, e)
        trx = Trx(e)
        self.modules = [block, tpcm, trx]
        linear, norm = nn.Linear(d, 4 * d), nn.LayerNorm(d)
        tokens, class_text = wave((b * FRAMES, n, d), 1), wave((WAY, e), 4)
        text = wave((b, e), 2)
        frozen_norm = lambda x: F.layer_norm(x, (d,), block.ln2_w, block.ln2_b)

        def attention(x):
            q, k, v = F.linear(x, block.qkv_w, block.qkv_b).chunk(3, -1)
            return F.linear(peer.attend(q, k, v, heads), block.out_w, block.out_b)

        def mlp(x):
            hidden = block.act(F.linear(x, block.fc_w, block.fc_b))
            return F.linear(hidden, block.proj_w, block.proj_b)

        def frozen(x):
            y = x + attention(block.ln1(x))
            return y + mlp(frozen_norm(y))

        # Function, and inputs that get gradients.
        self.parts = {
            "linear": (linear, tokens),
            "frozen_linear": (lambda x: F.linear(x, block.fc_w, block.fc_b), tokens),
            "layer_norm": (norm, tokens),
            "frozen_layer_norm": (frozen_norm, tokens),
            "attention": (attention, tokens),
            "feed_forward": (mlp, tokens),
            "bottleneck": (lambda x: x + block.multimodal(x), tokens),
            "frozen_block": (frozen, tokens),
            "adapted_query": (lambda x: block(x, b, FRAMES, None), tokens),
            "adapted_support": (lambda x: block(x, b, FRAMES, text), tokens),
            "text_guided": (
                lambda s, q: torch.cat([tpcm.prototypes(s, class_text), tpcm.queries(q)]),
                wave((WAY, FRAMES, e), 5),
                wave((QUERIES, FRAMES, e), 3),
            ),
        }
        self.modules += [linear, norm]
        metrics = {
            "otam": lambda q, s: peer.otam_both(1 - peer.cosine(q, s.mean(1)), 0.1),
            "bi_mhm": lambda q, s: bi_mhm(q, s.mean(1)),
            "mean_cosine": lambda q, s: mean_cosine(q, s.mean(1)),
            "trx": trx,
        }
        for shot in (1, 5):
            inputs = wave((QUERIES, FRAMES, e), 3), wave((WAY, shot, FRAMES, e), 5)
            self.parts.update({f"{name}_{shot}shot": (metric, *inputs) for name, metric in metrics.items()})
        self.constants = {}
        self.adamw = self.stepper([peer.Block(d, heads, e, 0.5) for _ in range(depth)])

    def stepper(self, blocks):
        """A function that makes one step of AdamW on the adapters of all blocks."""
        parameters = [parameter for block in blocks for parameter in block.parameters()]
        optimizer = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.05, fused=True)
        for at, parameter in enumerate(parameters):
            parameter.grad = wave(parameter.shape, at)
        return optimizer.step

    def measure(self, name, backward):
        """Milliseconds, and the sum of the output."""
        if name == "adamw":
            started = time.perf_counter()
            self.adamw()
            return 1e3 * (time.perf_counter() - started), 0.0
        function, *inputs = self.parts[name]
        if not backward:
            with torch.inference_mode():
                started = time.perf_counter()
                out = function(*inputs)
                return 1e3 * (time.perf_counter() - started), out.sum().item()
        if name not in self.constants:
            with torch.no_grad():
                self.constants[name] = wave(function(*inputs).shape, 6)
        leaves = [x.detach().requires_grad_() for x in inputs]
        started = time.perf_counter()
        out = function(*leaves)
        (out * self.constants[name]).sum().backward()
        elapsed = time.perf_counter() - started
        for module in self.modules:
            module.zero_grad(set_to_none=True)
        return 1e3 * elapsed, out.sum().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", default=os.environ.get("MACLIP_PEER"), help="the file with the model")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    if not options.peer:
        parser.error("name the file with the model: --peer or MACLIP_PEER")
    peer = load(Path(options.peer).resolve())
    peer.keep_memory()
    torch.set_num_threads(options.threads)
    torch.set_num_interop_threads(1)
    sides = {}
    for line in sys.stdin:
        size, name, mode = line.split()
        if size not in sides:
            sides[size] = Side(peer, size)
        print(*sides[size].measure(name, mode == "backward"), flush=True)


if __name__ == "__main__":
    main()
