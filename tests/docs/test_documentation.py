"""The documentation is in step with the code, and nothing in the repository names one machine."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon import __version__
from daemon.cli import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        for found, code in FENCE.findall(page.read_text()):
            if found == language:
                yield page, code


def test_the_changelog_begins_with_the_version() -> None:
    first = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert first is not None
    assert first.group(1) == __version__ == project["version"]


def test_every_dependency_has_its_purpose_licence_and_sign_of_life() -> None:
    # Given what pyproject.toml requires
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    required = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    names = {match.group() for line in required if (match := re.match(r"[A-Za-z0-9_.-]+", line))}
    # When docs/dependencies.md is read
    rows = re.findall(r"^\| ([\w.-]+) \| (.+) \| (.+) \| (.+) \|$", (ROOT / "docs/dependencies.md").read_text(), re.M)
    told = {name for name, *_ in rows} - {"package"}
    # Then both name the same packages
    assert told == names


def test_every_command_has_its_row() -> None:
    page = (ROOT / "docs/reference/commands.md").read_text()
    rows = re.findall(r"^\| `([\w-]+)` \|.*\| `retaind ([\w-]+).*` \|$", page, re.MULTILINE)
    assert [name for name, _ in rows] == list(COMMANDS)
    assert [name for name, example in rows if name != example] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text())
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if "://" not in target:
            assert (page.parent / target.partition("#")[0]).exists(), f"{page.name}: {target}"


def test_every_page_is_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        links = re.findall(r"\]\(([^)#:]+)", page.read_text())
        waiting += [(page.parent / target).resolve() for target in links]
    assert {page.resolve() for page in PAGES} - seen == set()


@pytest.mark.parametrize(("page", "code"), list(blocks("python")), ids=lambda value: getattr(value, "name", ""))
def test_python_in_the_documentation_compiles(page: Path, code: str) -> None:
    compile(code, str(page), "exec", flags=ast.PyCF_ONLY_AST)


@pytest.mark.parametrize(("page", "code"), list(blocks("bash")), ids=lambda value: getattr(value, "name", ""))
def test_shell_in_the_documentation_parses_and_calls_commands_that_exist(page: Path, code: str) -> None:
    result = subprocess.run(["bash", "-n"], input=code, capture_output=True, text=True, check=False, timeout=10)
    assert result.returncode == 0, f"{page.name}: {result.stderr}"
    called = set(re.findall(r"^(?:\.venv/bin/)?retaind ([\w-]+)", code, re.MULTILINE))
    assert called <= set(COMMANDS)
    targets = set(re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[0].split())
    assert set(re.findall(r"^make (\w+)", code, re.MULTILINE)) <= targets


def test_the_tree_of_the_readme_names_what_is_there() -> None:
    # Given the annotated tree
    text = (ROOT / "README.md").read_text()
    tree = text[text.index("## The tree") :]
    named = re.findall(r"^  (\w+(?:\.py|/))", tree, re.MULTILINE)
    # Then each name exists, and each room is named
    assert [name for name in named if not (ROOT / "daemon" / name).exists()] == []
    rooms = {f"{path.parent.name}/" for path in (ROOT / "daemon").glob("*/__init__.py")}
    assert rooms - set(named) == set()


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, timeout=30).stdout
    return [ROOT / name for name in listed.decode().split("\0") if name]


def test_nothing_names_a_path_or_host_of_one_machine() -> None:
    # Given names of directories that exist on one machine only, spelt so that this file does not hold them
    roots = "|".join(("wor" + "k", "roo" + "t", "hom" + "e", "far" + "m"))
    paths = re.compile(rf"(?<![\w.$}}])/(?:{roots})/\w")
    hosts = re.compile(
        r"--(?:index-url|extra-index-url|find-links|trusted-host)|https?://[\w.-]*(?:pypi|mirror)[\w.-]*"
    )
    found = []
    for file in tracked():
        if not file.is_file():
            continue
        text = file.read_text(errors="ignore")
        if paths.search(text) or (file.name != Path(__file__).name and hosts.search(text)):
            found.append(file.name)
    assert found == []


def test_the_lock_has_a_hash_for_everything_and_names_no_host() -> None:
    text = (ROOT / "requirements.lock").read_text()
    pins = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(pins) > 100
    assert [pin.split()[0] for pin in pins if "--hash=sha256:" not in pin] == []
    assert "://" not in text
