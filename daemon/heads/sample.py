"""A uniform sample of a head's members, kept with their features: those with the smallest keys (Cohen 1997).

Keys are hashes, so the smallest are a random sample that does not depend on the order of coming.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.heads.members import KEY_BYTES
from daemon.heads.ports import Array


class Sample:
    """At most ``size`` members. What was taken out is not made good until further members come."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._vectors: dict[bytes, Array] = {}
        self._keys: list[bytes] = []

    def __len__(self) -> int:
        return len(self._keys)

    def offer(self, key: bytes, vector: Array) -> None:
        if key in self._vectors or (len(self._keys) == self._size and key > self._keys[-1]):
            return
        self._vectors[key] = vector
        insort(self._keys, key)
        if len(self._keys) > self._size:
            del self._vectors[self._keys.pop()]

    def drop(self, key: bytes) -> None:
        if self._vectors.pop(key, None) is not None:
            self._keys.remove(key)

    def join(self, other: Sample) -> None:
        for key in other._keys:
            self.offer(key, other._vectors[key])

    def rows(self) -> tuple[Array, list[bytes]]:
        """Features [n, D] and keys, in the order of the keys."""
        return np.stack([self._vectors[key] for key in self._keys]), list(self._keys)

    def tensors(self) -> dict[str, NDArray[Any]]:
        """``sample_keys`` uint8 [n, 16], ``sample`` float32 [n, D]."""
        keys = np.frombuffer(b"".join(self._keys), np.uint8).reshape(-1, KEY_BYTES).copy()
        return {"sample_keys": keys, "sample": self.rows()[0] if self._keys else np.zeros((0, 0), np.float32)}

    @classmethod
    def load(cls, tensors: Mapping[str, NDArray[Any]], size: int) -> Sample:
        """From :meth:`tensors`. Raises ValueError where they do not belong together."""
        made = cls(size)
        keys, vectors = np.ascontiguousarray(tensors["sample_keys"], np.uint8), tensors["sample"]
        if len(keys) != len(vectors):
            raise ValueError(f"sample: {len(keys)} keys for {len(vectors)} rows; they must fit")
        for key, vector in zip(keys, np.array(vectors, np.float32), strict=True):
            made.offer(key.tobytes(), vector)
        return made
