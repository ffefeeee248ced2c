#!/usr/bin/env python3
"""Trains a small network on two spirals with three optimizers and eight seeds, and prints a row for each run.

    python3 examples/compare/optimizers.py > examples/compare/optimizers.csv

It needs numpy alone. The seed draws the points, the first weights and the order of the batches, so that the optimizers share
all three at each seed.
"""
import numpy as np

WIDTH, STEPS, BATCH, POINTS = 32, 400, 32, 256
RATES = {"sgd": 0.3, "momentum": 0.05, "adam": 0.01}


def spirals(rng):
    """Points on two spirals with noise, and the spiral of each."""
    spiral = rng.integers(0, 2, POINTS)
    angle = 0.5 + 2.5 * np.pi * np.sqrt(rng.random(POINTS))
    turned = angle + np.pi * spiral
    points = np.stack([np.cos(turned), np.sin(turned)], axis=1) * angle[:, None] / (2.5 * np.pi)
    return points + 0.04 * rng.standard_normal(points.shape), spiral


def forward(weights, points):
    """Logits and the hidden layer."""
    hidden = np.tanh(points @ weights[0] + weights[1])
    return hidden @ weights[2] + weights[3], hidden


def loss_and_errors(weights, points, spiral):
    """Cross entropy, its gradient by the logits, and the share of wrong answers."""
    logits, hidden = forward(weights, points)
    shifted = logits - logits.max(axis=1, keepdims=True)
    shares = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    rows = np.arange(len(spiral))
    loss = -np.log(shares[rows, spiral]).mean()
    slope = shares.copy()
    slope[rows, spiral] -= 1
    return loss, slope / len(spiral), (logits.argmax(axis=1) != spiral).mean(), hidden


def gradients(weights, points, spiral):
    _, slope, _, hidden = loss_and_errors(weights, points, spiral)
    inner = (slope @ weights[2].T) * (1 - hidden**2)
    return [points.T @ inner, inner.sum(axis=0), hidden.T @ slope, slope.sum(axis=0)]


def step(optimizer, weight, gradient, state, t):
    """The weight after a step; `state` has the two moments."""
    rate = RATES[optimizer]
    if optimizer == "sgd":
        return weight - rate * gradient
    if optimizer == "momentum":
        state[0] = 0.9 * state[0] + gradient
        return weight - rate * state[0]
    state[0] = 0.9 * state[0] + 0.1 * gradient
    state[1] = 0.999 * state[1] + 0.001 * gradient**2
    return weight - rate * (state[0] / (1 - 0.9**t)) / (np.sqrt(state[1] / (1 - 0.999**t)) + 1e-8)


def train(optimizer, seed):
    """Loss and share of wrong answers on held-out points."""
    rng = np.random.default_rng(seed)
    (points, spiral), held_out = spirals(rng), spirals(rng)
    shapes = [(2, WIDTH), (WIDTH,), (WIDTH, 2), (2,)]
    weights = [rng.standard_normal(shape) * (1.0 if len(shape) > 1 else 0.0) for shape in shapes]
    weights[2] /= np.sqrt(WIDTH)
    states = [[np.zeros(shape), np.zeros(shape)] for shape in shapes]
    for t in range(1, STEPS + 1):
        batch = rng.integers(0, POINTS, BATCH)
        found = gradients(weights, points[batch], spiral[batch])
        weights = [step(optimizer, w, g, s, t) for w, g, s in zip(weights, found, states)]
    loss, _, errors, _ = loss_and_errors(weights, *held_out)
    return loss, errors, sum(int(np.prod(shape)) for shape in shapes)


print("optimizer,seed,val_loss,val_error,params")
for optimizer in RATES:
    for seed in range(8):
        loss, errors, params = train(optimizer, seed)
        print(f"{optimizer},{seed},{loss:.5f},{errors:.5f},{params}")
