"""What every command keeps: help without heavy imports, exit statuses, one JSON document, examples."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from daemon import __version__
from daemon.cli import COMMANDS
from tests.cli.run import document, retaind

HEAVY = ("torch", "transformers", "pydantic", "numpy", "yaml", "starlette", "peft")


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command and subcommand, with the words that call it."""

    def below(words: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
        yield words, command
        if isinstance(command, click.Group):
            for name, child in command.commands.items():
                yield from below(f"{words} {name}", child)

    for name, entry in COMMANDS.items():
        module, _, attribute = entry.target.partition(":")
        yield from below(name, getattr(importlib.import_module(module), attribute))


def test_help_imports_nothing_heavy_and_is_quick() -> None:
    # Given a fresh interpreter that counts its own processor time
    probe = (
        "import sys, resource\n"
        "from daemon.cli import cli\n"
        "cli.main(['--help'], standalone_mode=False)\n"
        "used = resource.getrusage(resource.RUSAGE_SELF)\n"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "print('RESULT', used.ru_utime + used.ru_stime, *heavy)\n"
    )
    # When it prints the help
    runs = []
    for _ in range(3):
        result = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=60)
        assert "check-config" in result.stdout
        runs.append(result.stdout.splitlines()[-1].split()[1:])
    # Then nothing heavy was imported, and it took less than 0.3 s of processor time
    assert [run[1:] for run in runs] == [[], [], []]
    assert min(float(run[0]) for run in runs) < 0.3


@pytest.mark.parametrize(
    ("words", "command"), list(commands()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_command_has_help_with_an_example(words: str, command: click.Command) -> None:
    assert command.help is not None
    assert "Example:" in command.help
    assert f"retaind {words.split()[0]}" in command.help


@pytest.mark.parametrize(
    ("words", "command"), list(commands()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_command_has_the_common_options(words: str, command: click.Command) -> None:
    if isinstance(command, click.Group) and not command.invoke_without_command:
        return
    names = {name for parameter in command.params for name in parameter.opts}
    assert {"--config", "--set", "--json"} <= names, words
    stored_as = [parameter.name for parameter in command.params]
    assert len(stored_as) == len(set(stored_as)), "two parameters overwrite one another"


def test_the_version_is_ours(tmp_path: Path) -> None:
    assert retaind("--version", cwd=tmp_path).stdout == f"retaind, version {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [["no-such"], ["config", "show", "--no-such"], ["config", "no-such"], ["--no-such"], ["check-config", "extra"]],
)
def test_wrong_usage_ends_with_2_and_says_nothing_on_standard_output(tmp_path: Path, arguments: list[str]) -> None:
    result = retaind(*arguments, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert "Error: " in result.stderr


def test_wrong_configuration_ends_with_2_and_one_line(tmp_path: Path) -> None:
    # Given a file with a typo
    (tmp_path / "config.yaml").write_text("tasks: {support: {}}\nhttp: {prot: 1}\n")
    # When a command reads it
    result = retaind("config", "show", cwd=tmp_path)
    # Then the line names key, place and mend
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "retaind: http.prot (config.yaml:2): unknown key; did you mean port?\n"


def test_with_json_a_failure_is_one_document_too(tmp_path: Path) -> None:
    result = retaind("config", "show", "--json", "--set", "tasks.a={}", "--set", "http.port=x", cwd=tmp_path)
    assert result.returncode == 2
    assert document(result) == {
        "error": "ConfigError",
        "message": "http.port = 'x' (--set): must be a whole number\n"
        "(there is no config.yaml here; --config FILE names another)",
    }
