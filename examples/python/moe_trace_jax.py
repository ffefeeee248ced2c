"""Records the routing of a V-MoE in JAX, as a trace that `moe trace` reads.

    import moe_trace_jax
    output, state = model.apply(variables, images, capture_intermediates=True, mutable=["intermediates"])
    moe_trace_jax.save(state["intermediates"], "trace.safetensors", top_k=2, priority="score")

It reads what the routers `NoisyTopExpertsPerItemRouter` of google-research/vmoe gave to the dispatchers of their layers. Let them be
deterministic: noise is not among the intermediates. A group is what the layers route together. The format: docs/reference/traces.md.
"""

import re

import flax
import jax
import numpy as np
from safetensors.numpy import save_file


def save(intermediates, path, top_k, priority="position", labels=None):
    """Writes a trace.

    priority: "score" of routers with batch_priority. labels: a number for each token, [groups, group size], such as its class.
    """
    layers = [_layer(*router, top_k) for router in _routers(intermediates)]
    if not layers:
        raise ValueError("there is no router among the intermediates: apply the model with capture_intermediates=True")
    sizes = {layer.pop("sizes") for layer in layers}
    if len(sizes) > 1:
        raise ValueError(f"layers differ in (groups, group size, experts, capacity), and a trace has one: {sorted(sizes)}")
    [(n_groups, group_size, n_experts, capacity)] = sizes
    tensors = {"group": np.repeat(np.arange(n_groups, dtype=np.int32), group_size)}
    if labels is not None:
        tensors["labels"] = np.asarray(labels, np.int32).reshape(-1)
    for i, layer in enumerate(layers):
        tensors |= {f"{name}.{i}": np.ascontiguousarray(tensor) for name, tensor in layer.items()}
    words = {
        "format": "moe-trace",
        "version": "1",
        "n_experts": n_experts,
        "engine": f"vmoe, flax {flax.__version__}, jax {jax.__version__}, {jax.default_backend()}",
        "scoring": "softmax",
        "top_k": top_k,
        "capacity": capacity,
        "priority": priority,
        "fill_order": "choice_by_choice",
    }
    save_file(tensors, path, {key: str(value) for key, value in words.items()})


def _routers(tree):
    """The logits and the dispatcher of each router, in the order of the blocks."""
    if "dense" in tree and "__call__" in tree:
        dispatcher = tree["__call__"][0][0]
        yield tree["dense"]["__call__"][0], getattr(dispatcher, "dispatcher", dispatcher)
        return
    for name in sorted(tree, key=_by_number):
        if hasattr(tree[name], "keys"):
            yield from _routers(tree[name])


def _by_number(name):
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _layer(logits, dispatcher, top_k):
    """The rows of a layer, each from the best expert to the worst."""
    shape = logits.shape
    logits = np.asarray(logits, np.float32).reshape(-1, shape[-1])
    given = np.asarray(dispatcher.combine_weights, np.float32)
    weights = np.asarray(jax.nn.softmax(logits))
    if hasattr(dispatcher, "indices"):  # experts and places of the assignments
        capacity = dispatcher.capacity
        experts, places = np.asarray(dispatcher.indices).reshape(-1, top_k, 2).transpose(2, 0, 1)
        kept, weights = places < capacity, given.reshape(-1, top_k)
    else:  # weights by expert and place, those of dropped assignments zero: these are the best of the others
        capacity = given.shape[-1]
        given = given.sum(-1).reshape(logits.shape)
        experts = np.argsort(-np.where(given > 0, np.inf, logits), -1, kind="stable")[:, :top_k]
        kept = np.take_along_axis(given, experts, -1) > 0
        weights = np.take_along_axis(np.where(given > 0, given, weights), experts, -1)
    order = np.argsort(-np.take_along_axis(logits, experts, -1), -1, kind="stable")
    experts, weights, kept = (np.take_along_axis(rows, order, -1) for rows in (experts, weights, kept))
    rows = {"topk_idx": experts.astype(np.int16), "topk_weight": weights, "topk_kept": kept.astype(np.uint8)}
    return {"sizes": (*shape, capacity), "router_logits": logits, **rows}
