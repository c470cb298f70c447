"""``config show`` and ``check-config``."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.cli.options import Options, one_task
from daemon.config.load import load
from daemon.errors import ConfigError
from tests.cli.run import document, retaind

CONFIG = "tasks: {support: {}}\nhttp: {port: 8091}\n"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path


def test_show_prints_each_value_with_where_it_came_from(directory: Path) -> None:
    # Given a value of each origin, one of them a secret
    environ = {"RETAIND_PREDICT__TOP_K": "7", "RETAIND_HTTP_TOKEN": "hunter2"}
    # When the configuration is shown
    text = retaind("config", "show", "--set", "learn.threads=2", cwd=directory, environ=environ)
    shown = document(retaind("config", "show", "--json", "--set", "learn.threads=2", cwd=directory, environ=environ))
    # Then each says where it came from, and the secret is not there
    assert shown["http.port"] == {"value": 8091, "from": "config.yaml:2"}
    assert shown["predict.top_k"] == {"value": 7, "from": "RETAIND_PREDICT__TOP_K"}
    assert shown["learn.threads"] == {"value": 2, "from": "--set"}
    assert shown["tasks.support.gate.min_rows"] == {"value": 100, "from": "default"}
    assert shown["http.token"] == {"value": "***", "from": "RETAIND_HTTP_TOKEN"}
    assert "hunter2" not in text.stdout + text.stderr
    assert len(text.stdout.splitlines()) == len(shown)


def test_the_file_can_be_named_by_option_or_variable(directory: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("tasks: {other: {}}\n")
    for arguments, environ in ((["--config", str(other)], {}), ([], {"RETAIND_CONFIG": str(other)})):
        shown = document(retaind("config", "show", "--json", *arguments, cwd=directory, environ=environ))
        assert shown["tasks.other.type"]["value"] == "sequence"


def test_check_config_accepts_what_is_valid(directory: Path) -> None:
    result = retaind("check-config", "--json", cwd=directory)
    assert result.returncode == 0, result.stderr
    assert document(result) == {"valid": True, "tasks": ["support"], "sample": [], "connect": []}


def test_check_config_refuses_a_strategy_that_is_not_there(directory: Path) -> None:
    result = retaind("check-config", "--set", "defaults.strategies=[{name: repaly}]", cwd=directory)
    assert (result.returncode, result.stdout) == (2, "")
    assert "repaly" in result.stderr


def test_the_task_may_be_left_out_while_there_is_one() -> None:
    one = load(None, ["tasks.a={}"], {}).config
    two = load(None, ["tasks.a={}", "tasks.b={}"], {}).config
    assert (one_task(one, None), one_task(two, "b")) == ("a", "b")
    for config, name in ((two, None), (one, "b")):
        with pytest.raises(ConfigError, match="--task"):
            one_task(config, name)


def test_a_task_that_is_not_configured_gets_the_defaults(directory: Path) -> None:
    (directory / "config.yaml").write_text("defaults: {gate: {min_rows: 7}}\ntasks: {a: {gate: {min_rows: 8}}}\n")
    options = Options(directory / "config.yaml", ("defaults.split.seed=3",), json=False)
    other = options.defaults("other")
    assert (other.gate.min_rows, other.split.seed) == (7, 3)
    assert list(options.load().config.tasks) == ["a"]
