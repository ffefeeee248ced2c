"""A PyTorch router held to the laws:

    moe laws --program "python3 examples/python/router_laws.py" --takes top_k
    moe laws --program "python3 examples/python/router_laws.py --bug padding" --takes top_k

A message is its length in 8 bytes, little-endian, and a safetensors file. A case has `x` [T, D], `gate` [D, E], `group` [T]
and, where there is padding, `mask` [T]; its metadata has what --takes names. The answer has the names of a trace. Standard
output belongs to the answers: print to standard error.
"""

import json
import sys

import torch
from safetensors.torch import load, save


class Router(torch.nn.Module):
    """Mixtral's: the k largest logits, weighted by their softmax."""

    def __init__(self, bug):
        super().__init__()
        self.bug = bug

    def forward(self, x, gate, top_k, mask):
        logits = x @ gate
        # a stable sort: of equal scores the lowest index wins
        order = torch.sort(logits, descending=True, stable=True).indices
        if self.bug == "ties":
            order = torch.sort(logits.flip(-1), descending=True, stable=True).indices
            order = logits.shape[-1] - 1 - order
        experts = order[:, :top_k]
        weights = torch.softmax(torch.gather(logits, 1, experts), dim=-1)
        if self.bug == "last":
            weights = weights * (torch.arange(len(x)) < len(x) - 1).unsqueeze(-1)
        if self.bug != "padding":
            experts = torch.where(mask.unsqueeze(-1), experts, -1)
        return logits, experts, weights


def messages():
    """The cases: tensors and words, until the input ends."""
    while len(length := sys.stdin.buffer.read(8)) == 8:
        data = sys.stdin.buffer.read(int.from_bytes(length, "little"))
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        yield load(data), header.get("__metadata__", {})


def answer(logits, experts, weights):
    data = save({"router_logits.0": logits, "topk_idx.0": experts.contiguous(), "topk_weight.0": weights.contiguous()})
    sys.stdout.buffer.write(len(data).to_bytes(8, "little") + data)
    sys.stdout.buffer.flush()


router = Router(sys.argv[2] if sys.argv[1:2] == ["--bug"] else None)
for case, words in messages():
    mask = case["mask"].bool() if "mask" in case else torch.ones(len(case["x"]), dtype=torch.bool)
    answer(*router(case["x"], case["gate"], int(words["top_k"]), mask))
