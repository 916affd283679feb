"""Shapes of key spaces as they are found in buckets."""

from __future__ import annotations

from random import Random

__all__ = ["SHAPES", "keys_of"]

SHAPES = ("counted", "unpadded", "digests", "dates", "words", "hot", "unicode")


def keys_of(shape: str, count: int) -> list[str]:
    """Returns about so many keys in order; the same ones each time."""
    random = Random(1)
    syllables = ["ka", "lo", "mi", "ne", "su", "tor", "vex", "wy", "za", "bor"]
    words = ["".join(random.choices(syllables, k=random.randint(1, 3))) for _ in range(count // 50)]
    letters = [chr(first + offset) for first in (0xE0, 0x3B1, 0x4E00, 0xAC00, 0x1F600) for offset in range(20)]
    numbers = range(count)
    keys: dict[str, list[str]] = {
        "counted": [f"data/file-{number:08}.bin" for number in numbers],
        "unpadded": [f"data/{number}" for number in numbers],
        "digests": [f"{random.getrandbits(128):032x}" for _ in numbers],
        "dates": [f"year={2000 + n % 20}/month={n // 20 % 12 + 1:02}/part-{n // 240:05}.parquet" for n in numbers],
        "words": [f"{random.choice(words)}/{random.choice(words)}-{number}" for number in numbers],
        "hot": [f"{'a/b' if n < count // 50 else 'model/output/daily/t'}{n:09}.nc" for n in numbers] + ["z/1"],
        "unicode": ["".join(letters[n // 100**place % 100] for place in range(3)) + f"/{n}" for n in numbers],
    }
    return sorted(set(keys[shape]))
