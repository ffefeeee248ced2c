#!/usr/bin/env python3
"""Training speed of the same decoder in PyTorch, to compare with ours.

Reads the resolved configuration of a run (TOML), builds its decoder (RMSNorm, grouped-query attention with RoPE,
SwiGLU experts behind a softmax top-k router that renormalises, as in Mixtral), trains it in eager f32 on random
tokens and prints one JSON line. A timed step is forward, backward, clipping of the global norm and AdamW on one
batch: train.accumulate is not read, and the balance losses are left out, to PyTorch's advantage.

    python torch_train.py runs/RUN/seed-0/config.toml --warmup 5 --steps 20

glibc's allocator gives large blocks back after each step and takes the page faults again. For PyTorch's best
figure set MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=8589934592 for the process.
"""

import argparse
import json
import math
import statistics
import time
import tomllib

import torch
import torch.nn.functional as F
from torch import nn


class RmsNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * weight."""

    def __init__(self, model: dict):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(model["d_model"]))
        self.eps = model.get("norm_eps", 1e-5)

    def forward(self, x):
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


class Attention(nn.Module):
    """Causal grouped-query attention with half-split RoPE."""

    def __init__(self, d_model: int, attention: dict):
        super().__init__()
        self.n_heads, self.n_kv_heads = attention["n_heads"], attention["n_kv_heads"]
        self.head_dim = attention["head_dim"]
        self.query = nn.Linear(d_model, self.n_heads * self.head_dim, bias=False)
        self.key = nn.Linear(d_model, self.n_kv_heads * self.head_dim, bias=False)
        self.value = nn.Linear(d_model, self.n_kv_heads * self.head_dim, bias=False)
        self.output = nn.Linear(self.n_heads * self.head_dim, d_model, bias=False)

    def forward(self, x, cos, sin):
        def heads(y):
            return y.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)

        def rotate(y):
            left, right = y.chunk(2, dim=-1)
            return y * cos + torch.cat((-right, left), dim=-1) * sin

        query, key, value = rotate(heads(self.query(x))), rotate(heads(self.key(x))), heads(self.value(x))
        grouped = self.n_heads != self.n_kv_heads
        y = F.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=grouped)
        return self.output(y.transpose(1, 2).flatten(2))


def rope_tables(seq_length: int, head_dim: int, theta: float):
    frequencies = theta ** (-torch.arange(0, head_dim, 2) / head_dim)
    angles = torch.arange(seq_length)[:, None] * frequencies
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


class SwiGlu(nn.Module):
    """down(silu(gate x) * up x), gate and up in one matrix."""

    def __init__(self, d_model: int, d_hidden: int):
        super().__init__()
        self.gate_up = nn.Linear(d_model, 2 * d_hidden, bias=False)
        self.down = nn.Linear(d_hidden, d_model, bias=False)

    def forward(self, x):
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)


class Experts(nn.Module):
    """Stacked SwiGLU experts over rows sorted by expert.

    `loop`: one matrix product an expert, on slices that `unbind` and `split` make in one node each, so that their
    backward writes one stacked gradient. `grouped`: `F.grouped_mm`, where torch has it for CPU tensors.
    """

    def __init__(self, n_experts: int, d_model: int, d_expert: int, kernel: str):
        super().__init__()
        self.kernel = kernel
        self.gate_up = nn.Parameter(torch.randn(n_experts, d_model, 2 * d_expert) * d_model**-0.5)
        self.down = nn.Parameter(torch.randn(n_experts, d_expert, d_model) * d_expert**-0.5)

    def forward(self, rows, counts):
        if self.kernel == "grouped":
            ends = counts.cumsum(0).to(torch.int32)
            gate, up = F.grouped_mm(rows, self.gate_up, offs=ends).chunk(2, dim=-1)
            return F.grouped_mm(F.silu(gate) * up, self.down, offs=ends)
        outputs = []
        for x, gate_up, down in zip(rows.split(counts.tolist()), self.gate_up.unbind(), self.down.unbind()):
            gate, up = (x @ gate_up).chunk(2, dim=-1)
            outputs.append((F.silu(gate) * up) @ down)
        return torch.cat(outputs)


class Moe(nn.Module):
    """Softmax, top-k, renormalise; dispatch by a sort, combine by its inverse; shared experts as one wide one."""

    def __init__(self, d_model: int, experts: dict, top_k: int, kernel: str):
        super().__init__()
        n_experts, d_expert, n_shared = experts["n_experts"], experts["d_expert"], experts.get("n_shared_experts", 0)
        self.top_k, self.n_experts = top_k, n_experts
        self.router = nn.Linear(d_model, n_experts, bias=False)
        self.experts = Experts(n_experts, d_model, d_expert, kernel)
        self.shared = SwiGlu(d_model, n_shared * d_expert) if n_shared else None

    def forward(self, x):
        tokens = x.flatten(0, 1)
        weights, chosen = self.router(tokens).softmax(dim=-1).topk(self.top_k, dim=-1)
        weights = weights / weights.sum(dim=-1, keepdim=True)
        chosen = chosen.flatten()
        order = chosen.argsort()
        counts = torch.bincount(chosen, minlength=self.n_experts)
        rows = self.experts(tokens[order // self.top_k], counts)
        by_token = rows[order.argsort()].unflatten(0, (-1, self.top_k))
        y = (by_token * weights[..., None]).sum(dim=1)
        if self.shared is not None:
            y = y + self.shared(tokens)
        return y.view_as(x)


class Block(nn.Module):
    """x += attention(norm x); x += moe(norm x)."""

    def __init__(self, config: dict, kernel: str):
        super().__init__()
        d_model = config["model"]["d_model"]
        self.attention_norm, self.moe_norm = RmsNorm(config["model"]), RmsNorm(config["model"])
        self.attention = Attention(d_model, config["attention"])
        self.moe = Moe(d_model, config["experts"], config["router"].get("top_k", 2), kernel)

    def forward(self, x, cos, sin):
        x = x + self.attention(self.attention_norm(x), cos, sin)
        return x + self.moe(self.moe_norm(x))


class Decoder(nn.Module):
    """Embedding, blocks, norm, output head."""

    def __init__(self, config: dict, vocab_size: int, kernel: str):
        super().__init__()
        model, attention = config["model"], config["attention"]
        self.embedding = nn.Embedding(vocab_size, model["d_model"])
        self.blocks = nn.ModuleList(Block(config, kernel) for _ in range(model["n_layers"]))
        self.norm = RmsNorm(model)
        self.head = nn.Linear(model["d_model"], vocab_size, bias=False)
        theta = attention.get("rope_theta", 10_000.0)
        self.rope = rope_tables(config["train"]["seq_length"], attention["head_dim"], theta)

    def forward(self, tokens):
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, *self.rope)
        return self.head(self.norm(x))


def adamw(model: nn.Module, train: dict):
    """AdamW in its fastest form that this torch offers for CPU tensors."""
    options = {"lr": train["lr"], "weight_decay": train["weight_decay"]}
    try:
        return torch.optim.AdamW(model.parameters(), fused=True, **options)
    except (RuntimeError, TypeError):
        return torch.optim.AdamW(model.parameters(), foreach=True, **options)


def train_step(model, optimizer, tokens, clip_norm: float):
    """One step on `tokens` [batch_size, seq_length + 1]; returns the loss."""
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    loss = F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if clip_norm > 0:
        nn.utils.clip_grad_norm_(model.parameters(), clip_norm, foreach=True)
    optimizer.step()
    return loss.item()


def timed_steps(config: dict, vocab_size: int, kernel: str, warmup: int, steps: int):
    """Seconds of each timed step of a fresh model, and its last loss."""
    train = config["train"]
    torch.manual_seed(config.get("seed", 0))
    model = Decoder(config, vocab_size, kernel)
    optimizer = adamw(model, train)
    shape = (train["batch_size"], train["seq_length"] + 1)
    seconds = []
    for _ in range(warmup + steps):
        tokens = torch.randint(vocab_size, shape)
        start = time.perf_counter()
        loss = train_step(model, optimizer, tokens, train["clip_norm"])
        seconds.append(time.perf_counter() - start)
    if not math.isfinite(loss):
        raise SystemExit(f"the loss is {loss}: the run is not worth timing")
    return seconds[warmup:], loss


def usable_kernels(choice: str):
    """The expert kernels to time: those asked for that run here, forward and backward."""
    if choice != "auto":
        return [choice]
    try:
        experts = Experts(2, 16, 16, "grouped")
        experts(torch.randn(8, 16), torch.tensor([3, 5])).sum().backward()
        return ["loop", "grouped"]
    except (AttributeError, RuntimeError, NotImplementedError):
        return ["loop"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", help="resolved configuration of a run, as saved in its folder (TOML)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: 2)")
    parser.add_argument("--warmup", type=int, default=5, help="steps before the timed ones (default: 5)")
    parser.add_argument("--steps", type=int, default=20, help="timed steps (default: 20)")
    parser.add_argument("--experts", choices=["loop", "grouped", "auto"], default="auto",
                        help="expert kernel; auto times both for a few steps and keeps the faster (default)")
    parser.add_argument("--vocab-size", type=int, help="tokens of the vocabulary; default: model.vocab_size, "
                        "else data.vocab_size for BPE, else 256 (bytes)")
    return parser.parse_args()


def vocab_size_of(config: dict):
    data = config.get("data", {})
    bpe = data.get("vocab_size", 256) if data.get("vocab") == "bpe" else 256
    return config["model"].get("vocab_size", bpe)


def main():
    args = arguments()
    with open(args.config, "rb") as file:
        config = tomllib.load(file)
    router = config["router"].get("name")
    if router != "mixtral":
        raise SystemExit(f'router.name = "{router}": this script builds "mixtral" only')
    torch.set_num_threads(args.threads)
    attention = config["attention"]
    # 0 means the model's width divided by the heads
    attention["head_dim"] = attention.get("head_dim") or config["model"]["d_model"] // attention["n_heads"]
    vocab_size = args.vocab_size or vocab_size_of(config)

    kernels = usable_kernels(args.experts)
    kernel = kernels[0]
    if len(kernels) > 1:
        trial = {k: statistics.median(timed_steps(config, vocab_size, k, 2, 5)[0]) for k in kernels}
        kernel = min(trial, key=trial.get)
    seconds, loss = timed_steps(config, vocab_size, kernel, args.warmup, args.steps)

    train = config["train"]
    rates = [train["batch_size"] * train["seq_length"] / s for s in seconds]
    print(json.dumps({
        "tokens_per_s": round(statistics.median(rates), 1),
        "min": round(min(rates), 1),
        "max": round(max(rates), 1),
        "step_ms_median": round(1e3 * statistics.median(seconds), 2),
        "loss": round(loss, 4),
        "torch": torch.__version__,
        "experts": kernel,
        "threads": args.threads,
    }))


if __name__ == "__main__":
    main()
