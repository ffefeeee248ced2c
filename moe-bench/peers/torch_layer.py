#!/usr/bin/env python3
"""One mixture-of-experts layer in PyTorch, timed on request: the peer of `moe bench layer --peer torch=PYTHON`.

The parent asks in lines of JSON on stdin and reads lines of JSON on stdout, so that its samples and these alternate:

    (start)                                                       -> {"version": "2.15.0", "threads": 2}
    {"do": "prepare", "workload": {..}, "activation": "gelu",
     "pass": "forward"}                                           -> {"rows": {"loop": 4096, "grouped": 4096, ..}}
    {"do": "sample", "workload": "A", "way": "loop"}              -> {"seconds": 0.1}
    {"do": "forget"}                                              -> {}

The ways: `grouped` = F.grouped_mm over rows sorted by expert; `loop` = one product an expert over the same rows, on
slices that `unbind` makes in one node, so that their backward writes one stacked gradient; `capacity` = index gather
into [experts, capacity, d] and bmm, capacity factor 1.25 unless the workload has one; `dense` = the layer of equal
active FLOP. All f32, eager, without biases. Where the workload has a capacity, all ways drop what exceeds it.

Gradients are cleared before the clock starts, and the backward pass is given its gradient.
"""

import argparse
import json
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

WAYS = ["grouped", "loop", "capacity"]


class Dense(nn.Module):
    """down(act(up x)), or down(silu(gate x) * up x) with gate and up in one matrix."""

    def __init__(self, d_model: int, d_hidden: int, gated: bool):
        super().__init__()
        self.gated = gated
        self.up = nn.Linear(d_model, (2 if gated else 1) * d_hidden, bias=False)
        self.down = nn.Linear(d_hidden, d_model, bias=False)

    def forward(self, x):
        return self.down(activate(self.up(x), self.gated))


def activate(up, gated: bool):
    if gated:
        gate, up = up.chunk(2, dim=-1)
        return F.silu(gate) * up
    return F.gelu(up, approximate="tanh")


class Moe(nn.Module):
    """Softmax, top-k, dispatch by a stable sort, experts in one of three ways, weighted combine."""

    def __init__(self, workload: dict, gated: bool):
        super().__init__()
        d_model, d_expert = workload["d_model"], workload["d_expert"]
        self.n_experts, self.top_k = workload["n_experts"], workload["top_k"]
        self.gated, self.factor = gated, workload["capacity_factor"]
        self.router = nn.Linear(d_model, self.n_experts, bias=False)
        width = (2 if gated else 1) * d_expert
        self.up = nn.Parameter((torch.rand(self.n_experts, d_model, width) * 2 - 1) * d_model**-0.5)
        self.down = nn.Parameter((torch.rand(self.n_experts, d_expert, d_model) * 2 - 1) * d_expert**-0.5)
        n_shared = workload["n_shared_experts"]
        self.shared = Dense(d_model, n_shared * d_expert, gated) if n_shared else None

    def forward(self, x, way: str):
        weights, chosen = self.router(x).softmax(dim=-1).topk(self.top_k, dim=-1)
        if self.top_k > 1:
            weights = weights / weights.sum(dim=-1, keepdim=True)
        if way == "capacity":
            y = self.by_capacity(x, weights, chosen, self.factor or 1.25)
        elif self.factor:
            y = self.by_kept_rows(x, weights, chosen, way)
        else:
            y = self.by_rows(x, weights, chosen, way)
        return y if self.shared is None else y + self.shared(x)

    def by_rows(self, x, weights, chosen, way: str):
        """Nothing is dropped: the combine is a gather by the inverse of the sort."""
        chosen = chosen.flatten()
        order = chosen.argsort(stable=True)
        counts = torch.bincount(chosen, minlength=self.n_experts)
        rows = self.experts(x[order // self.top_k], counts, way)
        back = torch.empty_like(order)
        back[order] = torch.arange(len(order))
        return (rows[back].unflatten(0, (-1, self.top_k)) * weights[..., None]).sum(dim=1)

    def by_kept_rows(self, x, weights, chosen, way: str):
        order, counts, position = self.sorted(chosen)
        capacity = self.capacity(len(x), self.factor)
        order = order[position < capacity]
        rows = self.experts(x[order // self.top_k], counts.clamp(max=capacity), way)
        rows = rows * weights.flatten()[order, None]
        return torch.zeros_like(x).index_add(0, order // self.top_k, rows)

    def by_capacity(self, x, weights, chosen, factor: float):
        order, _, position = self.sorted(chosen)
        capacity = self.capacity(len(x), factor)
        kept = position < capacity
        order, position = order[kept], position[kept]
        slots = chosen.flatten()[order] * capacity + position
        tokens = order // self.top_k
        source = torch.zeros(self.n_experts * capacity, dtype=torch.long)
        source[slots] = tokens  # an empty slot computes token 0 and is not combined
        rows = x[source].unflatten(0, (self.n_experts, capacity))
        rows = torch.bmm(activate(torch.bmm(rows, self.up), self.gated), self.down).flatten(0, 1)
        rows = rows[slots] * weights.flatten()[order, None]
        return torch.zeros_like(x).index_add(0, tokens, rows)

    def sorted(self, chosen):
        """Assignments by expert, how many each has, and the place of each in its expert's queue."""
        chosen = chosen.flatten()
        order = chosen.argsort(stable=True)
        counts = torch.bincount(chosen, minlength=self.n_experts)
        starts = counts.cumsum(0) - counts
        return order, counts, torch.arange(len(order)) - starts[chosen[order]]

    def capacity(self, n_tokens: int, factor: float):
        return max(1, int(n_tokens * self.top_k / self.n_experts * factor))

    def experts(self, rows, counts, way: str):
        if way == "grouped":
            ends = counts.cumsum(0).to(torch.int32)
            hidden = activate(F.grouped_mm(rows, self.up, offs=ends), self.gated)
            return F.grouped_mm(hidden, self.down, offs=ends)
        outputs = []
        for x, up, down in zip(rows.split(counts.tolist()), self.up.unbind(), self.down.unbind()):
            if len(x):
                outputs.append(activate(x @ up, self.gated) @ down)
        return torch.cat(outputs)

    @torch.no_grad()
    def rows(self, x, way: str):
        """How many assignments a way computes."""
        n_rows = len(x) * self.top_k
        factor = self.factor or (1.25 if way == "capacity" else None)
        if factor is None:
            return n_rows
        chosen = self.router(x).softmax(dim=-1).topk(self.top_k, dim=-1).indices
        _, counts, _ = self.sorted(chosen)
        return int(counts.clamp(max=self.capacity(len(x), factor)).sum())


class Case:
    """A workload with its inputs: another token in each call where there is one alone."""

    def __init__(self, workload: dict, activation: str, backward: bool):
        torch.manual_seed(0)
        gated = activation == "swiglu"
        if activation not in ("gelu", "swiglu"):
            raise ValueError(f"the activation `{activation}` is not built; gelu and swiglu are")
        self.backward, self.calls = backward, 0
        self.moe = Moe(workload, gated)
        n_active = workload["top_k"] + workload["n_shared_experts"]
        self.dense = Dense(workload["d_model"], n_active * workload["d_expert"], gated)
        shape = (workload["n_tokens"], workload["d_model"])
        self.inputs = [torch.randn(shape, requires_grad=backward) for _ in range(32 if shape[0] == 1 else 1)]
        self.gradient = torch.randn(shape)
        if not backward:
            for parameter in (*self.moe.parameters(), *self.dense.parameters()):
                parameter.requires_grad_(False)

    def rows(self):
        x = self.inputs[0]
        usable = [way for way in WAYS if self.runs(way)]
        rows = {way: self.moe.rows(x, way) for way in usable}
        return rows | {"dense": len(x) * self.moe.top_k}

    def runs(self, way: str):
        try:
            self.sample(way)
            return True
        except (AttributeError, NotImplementedError) as error:
            print(f"torch_layer.py: {way} does not run here: {error}", file=sys.stderr)
            return False

    def sample(self, way: str):
        x = self.inputs[self.calls % len(self.inputs)]
        self.calls += 1
        x.grad = None
        self.moe.zero_grad(set_to_none=True)
        self.dense.zero_grad(set_to_none=True)
        start = time.perf_counter()
        y = self.dense(x) if way == "dense" else self.moe(x, way)
        if self.backward:
            y.backward(self.gradient)
        return time.perf_counter() - start


def answer(request: dict, cases: dict):
    match request["do"]:
        case "prepare":
            backward = request["pass"] == "forward+backward"
            workload = request["workload"]
            case = cases[workload["name"]] = Case(workload, request["activation"], backward)
            return {"rows": case.rows()}
        case "sample":
            return {"seconds": cases[request["workload"]].sample(request["way"])}
        case "forget":
            cases.clear()
            return {}
        case other:
            raise ValueError(f"cannot `{other}`")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: 2)")
    threads = parser.parse_args().threads
    torch.set_num_threads(threads)
    print(json.dumps({"version": torch.__version__, "threads": threads}), flush=True)
    cases = {}
    for line in sys.stdin:
        try:
            reply = answer(json.loads(line), cases)
        except Exception as error:  # the parent must hear of it, whatever it is
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
