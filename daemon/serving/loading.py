"""A version from its files to a model that answers.

Guarantee: :func:`load_served` gives a model whose files have the manifest's hashes and which has answered a probe with
finite numbers of the right shapes, or raises VersionError.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError

from daemon.durable import sha256
from daemon.errors import RetaindError, VersionCorrupt, VersionError, VersionIncomplete
from daemon.heads import store as head_store
from daemon.heads.blend import DEFAULT_BLEND
from daemon.models.tokens import Tokenizer
from daemon.models.tuned import load_tuned
from daemon.registry.version import Version
from daemon.serving.served import ServedModel
from daemon.tasks import get_task


@dataclass(frozen=True, slots=True)
class Precision:
    """``int8``: answer with an int8 copy, and again in fp32 where the likeliest class is less than
    ``recheck_odds`` times as likely as the next."""

    int8: bool = False
    recheck_odds: float = 1.2


def load_served(
    version: Version, heads_dir: Path | None, device: torch.device, precision: Precision = Precision()
) -> ServedModel:
    """Verify hashes, load, warm. ``precision``: of the answers; features for heads are always fp32.

    ``heads_dir``: where this version's fast weights lie (``heads/TASK/VERSION``); None, or nothing saved
    there yet: the tuned head answers alone. Raises VersionError for whatever keeps it from answering.
    """
    try:
        _verify(version)
        served = ServedModel(
            version,
            load_tuned(version.path, version.meta, device),
            Tokenizer.load(version.path / "tokenizer"),
            None,
            DEFAULT_BLEND,
            get_task(version.meta.task_type),
        )
        if precision.int8:
            served = served.in_int8(precision.recheck_odds)
        served.warm()
        if heads_dir is None or head_store.weights_stamp(heads_dir) is None:
            return served
        return served.with_weights(*head_store.load_weights(heads_dir))
    except VersionError:
        raise
    except (RetaindError, SafetensorError, OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise VersionError(f"version {version.id} does not load: {error}") from error


def _verify(version: Version) -> None:
    for name, expected in version.files.items():
        try:
            found = sha256(version.path / name)
        except FileNotFoundError as error:
            raise VersionIncomplete(f"version {version.id}: {name} is missing; restore it or roll back") from error
        if found != expected:
            raise VersionCorrupt(
                f"version {version.id}: {name} has SHA-256 {found}, the manifest says {expected}; "
                "restore it or roll back"
            )
