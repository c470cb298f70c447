"""Which side of the split a key is on. Pure: the answers are stored by the batch, once per key.

A key first seen (with a label) while its class has fewer than ``min_train_rows`` train rows trains;
any other is train, validation or holdout at the configured shares, pseudo-randomly by seed and key.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b

from daemon.config.task import SplitConfig
from daemon.events import Split

SPLITS: tuple[Split, ...] = (Split.TRAIN, Split.VALIDATION, Split.HOLDOUT)
"""A split is stored as its place in this tuple."""
TRAIN, VALIDATION, HOLDOUT = range(3)

_ATTRIBUTE = "attributes."


def split_key(cfg: SplitConfig, key: bytes, attributes: Mapping[str, str]) -> bytes:
    """The 16 bytes under which a split is stored: the input's key, or the hash of the attribute named by
    ``split.by``. An event without that attribute is split by its input."""
    if not cfg.by.startswith(_ATTRIBUTE):
        return key
    value = attributes.get(cfg.by.removeprefix(_ATTRIBUTE))
    if value is None:
        return key
    return blake2b(value.encode(), digest_size=16, person=b"retaind.attr").digest()


def decide(cfg: SplitConfig, key: bytes, class_train_rows: int) -> int:
    """The split (its place in SPLITS) of a key seen for the first time."""
    if class_train_rows < cfg.min_train_rows:
        return TRAIN
    number = _seeded(cfg.seed).copy()
    number.update(key)
    share = int.from_bytes(number.digest(), "big") / 2**64
    if share < cfg.validation_ratio:
        return VALIDATION
    if share < cfg.validation_ratio + cfg.holdout_ratio:
        return HOLDOUT
    return TRAIN


@lru_cache(maxsize=1024)
def _seeded(seed: int) -> blake2b:
    return blake2b(digest_size=8, key=seed.to_bytes(16, "big", signed=True))
