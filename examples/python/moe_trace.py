"""Records the routing of a transformers mixture of experts, as a trace that `moe trace` reads.

    import moe_trace
    with moe_trace.record(model, "trace.safetensors"):
        model(input_ids, attention_mask=attention_mask)

It hooks the routers of transformers 5: Mixtral, DeepSeek-V2 and V3, OLMoE, Qwen3-MoE, Switch, and others whose routers return
their logits, weights and experts. Of an encoder with a decoder it takes the stack that `within` names. Every pass is recorded, and
the steps of `generate` as one text. The trace is kept in memory until the block ends. The format: docs/reference/traces.md.
"""

import contextlib
import json

import torch
from safetensors.torch import save_file

NO_EXPERT = -1


@contextlib.contextmanager
def record(model, path, labels=None, label_names=None, within="", keep_padding=False, rule=None):
    """Records what happens in the block.

    labels: a number for each sequence, such as its domain, in the order of the passes; label_names: their names.
    within: the beginning of the names of the modules, such as "encoder".
    keep_padding: keep what routers did to padding, which transformers routes as any token. Else it goes nowhere.
    rule: the rule of a family that is not known here, in the words of docs/reference/traces.md, such as
        {"top_k": 2, "scoring": "softmax", "normalise": "sum"}.
    """
    recorder = _Recorder(model, within, keep_padding, rule)
    hooks = [model.register_forward_pre_hook(recorder.before, with_kwargs=True)]
    for layer, router in enumerate(recorder.routers):
        hooks.append(router.register_forward_hook(recorder.after(layer)))
    try:
        yield recorder
    finally:
        for hook in hooks:
            hook.remove()
    recorder.save(path, labels, label_names)


class _Recorder:
    def __init__(self, model, within, keep_padding, rule):
        self.model, self.within, self.keep_padding, self.rule = model, within, keep_padding, rule
        named = [(name, module) for name, module in model.named_modules() if name.startswith(within)]
        self.routers = [module for _, module in named if type(module).__name__.endswith("Router")]
        if not self.routers:
            raise ValueError(f"{type(model).__name__} has no router that transformers 5 names so")
        self.batches = []  # of each batch the passes, one a step

    def before(self, model, args, kwargs):
        """Begins a pass: notes its tokens and its mask, and joins it to the last one if that is continued from a cache."""
        decodes = self.within.startswith("decoder")
        tokens = kwargs.get("decoder_input_ids" if decodes else "input_ids", args[0] if args else None)
        if tokens is None:
            raise ValueError("a trace has the ids of tokens: give the model input_ids in place of embeddings")
        mask = kwargs.get("decoder_attention_mask" if decodes else "attention_mask")
        cache = kwargs.get("past_key_values", kwargs.get("cache"))
        if cache is None or cache.get_seq_length() == 0 or not self.batches:
            self.batches.append([])
        mask = torch.ones_like(tokens) if mask is None else mask[:, -tokens.shape[1]:]
        self.batches[-1].append({"tokens": tokens.cpu(), "mask": mask.bool().cpu(), "layers": {}})

    def after(self, layer):
        def hook(router, args, output):
            self.batches[-1][-1]["layers"][layer] = _choice(router, output)
        return hook

    def save(self, path, labels, label_names):
        """Writes the trace."""
        rows = [row for batch in self.batches for row in _rows(batch)]
        if not rows:
            raise ValueError("nothing was computed in the block")
        lengths = torch.tensor([len(row["tokens"]) for row in rows])
        mask = torch.cat([row["mask"] for row in rows])
        tensors = {
            "tokens": torch.cat([row["tokens"] for row in rows]).to(torch.int32),
            "mask": mask.to(torch.uint8),
            "group": torch.arange(len(rows), dtype=torch.int32).repeat_interleave(lengths),
        }
        fits = labels is None or len(labels) == len(rows)
        if labels is not None and fits:
            tensors["labels"] = torch.tensor(labels, dtype=torch.int32).repeat_interleave(lengths)
        for layer, router in enumerate(self.routers):
            for name in rows[0]["layers"][layer]:
                tensors[f"{name}.{layer}"] = torch.cat([row["layers"][layer][name] for row in rows])
            if not self.keep_padding:
                tensors[f"topk_idx.{layer}"][~mask] = NO_EXPERT
            bias = getattr(router, "e_score_correction_bias", None)
            if bias is not None:
                tensors[f"selection_bias.{layer}"] = bias.detach().float().cpu()
        words = self.words()
        if label_names is not None:
            words["label_names"] = json.dumps(label_names)
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, words)
        if not fits:
            raise ValueError(f"{path} is without labels: there are {len(labels)}, and {len(rows)} sequences were recorded")

    def words(self):
        import transformers
        config = self.model.config
        dtype, device = str(self.model.dtype).removeprefix("torch."), self.model.device.type
        words = {
            "format": "moe-trace",
            "version": "1",
            "n_experts": self.routers[0].num_experts,
            "d_model": getattr(config, "hidden_size", None) or config.d_model,
            "model": f"{config.model_type} {config.name_or_path}".strip(),
            "engine": f"transformers {transformers.__version__}, torch {torch.__version__}, {dtype}, {device}",
            **(_rule(config, self.routers[0]) if self.rule is None else self.rule),
        }
        return {key: str(value) for key, value in words.items()}


def _choice(router, output):
    """The rows of a router's output, from the best expert to the worst."""
    first, weights, last = output
    if last.is_floating_point():  # Switch: a one-hot mask without dropped tokens, the probability, the logits
        logits = last.flatten(0, -2)
        kept = first.flatten(0, -2).sum(-1, keepdim=True)
        experts, weights = logits.argmax(-1, keepdim=True), weights.reshape(-1, 1)
    else:
        logits, experts, kept = first.flatten(0, -2), last.flatten(0, -2), None
        weights = weights.flatten(0, -2)
        bias = getattr(router, "e_score_correction_bias", None)
        ranking = logits if bias is None else logits.float().sigmoid() + bias
        order = ranking.gather(-1, experts).argsort(dim=-1, descending=True, stable=True)
        experts, weights = experts.gather(-1, order), weights.gather(-1, order)
    rows = {"router_logits": logits.detach().cpu(), "topk_idx": experts.to(torch.int16).cpu(), "topk_weight": weights.detach().cpu()}
    if kept is not None:
        rows["topk_kept"] = kept.to(torch.uint8).cpu()
    return rows


def _rows(batch):
    """The sequences of a batch, the steps of each joined."""
    for row in range(len(batch[0]["tokens"])):
        def of_step(step, tensor):
            return tensor.unflatten(0, step["tokens"].shape)[row]
        layers = {
            layer: {name: torch.cat([of_step(step, step["layers"][layer][name]) for step in batch]) for name in names}
            for layer, names in batch[0]["layers"].items()
        }
        yield {
            "tokens": torch.cat([step["tokens"][row] for step in batch]),
            "mask": torch.cat([step["mask"][row] for step in batch]),
            "layers": layers,
        }


def _rule(config, router):
    """The rule by which the model routes, in the words of a trace; nothing for a family that is not known here."""
    divided = {True: "sum", False: "none"}
    family = config.model_type
    if family == "mixtral":
        return {"top_k": router.top_k, "scoring": "softmax", "normalise": "sum"}
    if family in ("olmoe", "qwen2_moe", "qwen3_moe"):
        return {"top_k": router.top_k, "scoring": "softmax", "normalise": divided[bool(router.norm_topk_prob)]}
    if family == "switch_transformers":
        capacity = {"capacity": router.expert_capacity, "priority": "position", "fill_order": "token_by_token"}
        return {"top_k": 1, "scoring": "softmax", "normalise": "none", **capacity}
    if family not in ("deepseek_v2", "deepseek_v3"):
        return {}
    rule = {"top_k": router.top_k, "scale": float(router.routed_scaling_factor)}
    groups = {"n_groups": router.num_group, "topk_groups": router.topk_group}
    if family == "deepseek_v3":
        rule |= {"scoring": "sigmoid", "normalise": divided[bool(router.norm_topk_prob)]}
        return rule | groups | {"group_score": "top_two_sum"}
    rule |= {"scoring": "softmax", "normalise": "none"}
    limited = router.topk_method == "group_limited_greedy"
    return rule | (groups | {"group_score": "max"} if limited else {})
