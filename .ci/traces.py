"""Traces of transformers for .ci/traces: of fixtures, each with the 16 tokens that it writes, and of planted mistakes.

Usage: traces.py FOLDER DECODER...
"""

import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

import moe_trace

FIXTURES = Path("moe-checkpoint/tests/fixtures")
work, decoders = Path(sys.argv[1]), sys.argv[2:]
prompt = [i * 37 % 90 + 3 for i in range(48)]


def load(kind, name):
    return kind.from_pretrained(FIXTURES / name, dtype=torch.float32, attn_implementation="eager").eval()


@torch.no_grad()
def record(name, model, ids, mask=None, **options):
    with moe_trace.record(model, work / f"{name}.safetensors", **options):
        model(ids, attention_mask=mask)


for name in decoders:
    model = load(AutoModelForCausalLM, name)
    ids = torch.tensor([prompt])
    with moe_trace.record(model, work / f"{name}.safetensors"):
        model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=16, do_sample=False)
switch = load(AutoModelForSeq2SeqLM, "switch_capacity")
record("switch_capacity", switch.get_encoder(), torch.tensor([prompt]))
ids = torch.tensor([prompt[:24], prompt[24:]])
(work / "ids").write_text(" ".join(map(str, prompt)))


class Mixtral(torch.nn.Module):
    """A copy of transformers' router with room for mistakes."""

    def __init__(self, router, again=lambda scores: scores, choose=lambda scores, k: scores.topk(k).indices):
        super().__init__()
        self.weight, self.top_k, self.num_experts = router.weight, router.top_k, router.num_experts
        self.again, self.choose = again, choose

    def forward(self, hidden):
        logits = torch.nn.functional.linear(hidden.flatten(0, -2), self.weight)
        scores = self.again(logits.softmax(-1))
        experts = self.choose(scores, self.top_k)
        weights = scores.gather(-1, experts)
        return logits, weights / weights.sum(-1, keepdim=True), experts


class DeepSeekV3(torch.nn.Module):
    """The same of DeepSeek-V3."""

    def __init__(self, router, bias_weighs=False, masked=float("-inf")):
        super().__init__()
        self.__dict__.update({name: value for name, value in vars(router).items() if name not in self.__dict__})
        self.weight, self.e_score_correction_bias = router.weight, router.e_score_correction_bias
        self.bias_weighs, self.masked = bias_weighs, masked

    def forward(self, hidden):
        logits = torch.nn.functional.linear(hidden.flatten(0, -2), self.weight)
        scores = logits.sigmoid()
        choice = scores + self.e_score_correction_bias
        groups = choice.unflatten(-1, (self.num_group, -1))
        best = groups.topk(2).values.sum(-1).topk(self.topk_group).indices
        allowed = torch.zeros(groups.shape[:-1], dtype=torch.bool).scatter(-1, best, True)
        limited = groups.masked_fill(~allowed.unsqueeze(-1), self.masked).flatten(-2)
        experts = limited.topk(self.top_k).indices
        weights = (choice if self.bias_weighs else scores).gather(-1, experts)
        return logits, weights / weights.sum(-1, keepdim=True) * self.routed_scaling_factor, experts


def planted(name, copy, bias=None, zero=False, **mistake):
    """The model of a fixture with a copy in place of its routers."""
    model = load(AutoModelForCausalLM, name)
    for parent in list(model.modules()):
        for child, router in list(parent.named_children()):
            if type(router).__name__ in ("MixtralTopKRouter", "DeepseekV3TopkRouter"):
                if bias is not None:
                    router.e_score_correction_bias.copy_(torch.linspace(*bias, router.num_experts))
                if zero:
                    torch.nn.init.zeros_(router.weight)
                other = copy(router, **mistake)
                # the recorder finds routers by the names of their classes
                other.__class__ = type(type(router).__name__, (copy,), {})
                setattr(parent, child, other)
    return model


def at_random(scores, k):
    return (scores + 1e-6 * torch.rand_like(scores)).topk(k).indices


torch.manual_seed(0)
# without a mistake the copies are right
record("mixtral", planted("mixtral_base", Mixtral), ids)
record("deepseek", planted("dsv3_groups_yarn", DeepSeekV3, bias=(-0.9, -0.5)), ids)
record("bias", planted("dsv3_groups_yarn", DeepSeekV3, bias=(-0.1, 0.1), bias_weighs=True), ids)
record("groups", planted("dsv3_groups_yarn", DeepSeekV3, bias=(-0.9, -0.5), masked=0.0), ids)
record("twice", planted("mixtral_base", Mixtral, again=lambda scores: scores.softmax(-1)), ids)
record("ties", planted("mixtral_base", Mixtral, zero=True, choose=at_random), ids)
record("padding", planted("mixtral_base", Mixtral), ids, mask=(ids > 20).long(), keep_padding=True)
