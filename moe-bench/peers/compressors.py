#!/usr/bin/env python3
"""Bits per byte of general compressors on the validation part of each domain.

The validation part of a file is its bytes from 90 to 95 %, moved forward to whole characters, as
`moe-train` splits it. Three figures: gzip -9 and xz -9e of the part alone, and what the part adds to an
xz -9e of everything before it, which has seen the training bytes.
The last row compresses the nine parts as one file.

    python3 moe-bench/peers/compressors.py
"""
import gzip
import lzma
from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "moe-train" / "data"


def boundary(text: bytes, position: int) -> int:
    while position < len(text) and text[position] & 0xC0 == 0x80:
        position += 1
    return position


def xz(data: bytes) -> int:
    # a dictionary of 64 MiB, as `xz -9e` has
    return len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))


def main() -> None:
    print(f"{'domain':<16}{'gzip':>8}{'xz':>8}{'xz, seen':>10}")
    before, parts = [], []
    for path in sorted(DATA.glob("*.txt")):
        text = path.read_bytes()
        start = boundary(text, len(text) * 90 // 100)
        end = boundary(text, len(text) * 95 // 100)
        before.append(text[:start])
        parts.append(text[start:end])
        show(path.stem, before[-1], parts[-1])
    show("all", b"".join(before), b"".join(parts))


def show(name: str, before: bytes, part: bytes) -> None:
    sizes = [len(gzip.compress(part, 9)), xz(part), xz(before + part) - xz(before)]
    bits = [8 * size / len(part) for size in sizes]
    print(f"{name:<16}{bits[0]:>8.2f}{bits[1]:>8.2f}{bits[2]:>10.2f}")


if __name__ == "__main__":
    main()
