"""``retaind doctor`` as a person meets it."""

from __future__ import annotations

from pathlib import Path

from daemon.doctor.checks import CHECKS, MACHINE
from tests.cli.run import document, retaind

GOOD = "state_dir: ./state\ntasks: {support: {}}\nhttp: {port: 0}\n"


def test_on_a_machine_that_is_well_every_check_speaks_and_nothing_is_changed(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(GOOD)
    result = retaind("doctor", cwd=tmp_path, environ={"HF_HUB_OFFLINE": "1"})
    assert result.returncode == 0, result.stdout + result.stderr
    names = [line.split()[1] for line in result.stdout.splitlines()[:-1] if not line.startswith(" ")]
    assert list(dict.fromkeys(names)) == [*MACHINE, "config", *CHECKS]
    assert "ok    state_dir  " in result.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_what_fails_is_told_with_its_mend_and_ends_with_1(tmp_path: Path) -> None:
    # Given a configuration that asks for a model that is not there, and state of another format
    (tmp_path / "config.yaml").write_text(GOOD)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "signature.json").write_text('{"format": 99, "tasks": {}}')
    arguments = ("doctor", "--set", "tasks.support.model.base=./nowhere", "--json")
    # When the doctor looks
    result = retaind(*arguments, cwd=tmp_path)
    # Then both stand in the document, the other checks too
    assert result.returncode == 1
    found = document(result)
    failed = {row["check"]: row["says"] for row in found["checks"] if row["status"] == "fail"}
    assert found["status"] == "fail"
    assert failed == {
        "signature": "state/signature.json: format 99 was written by a newer retaind (this one reads 1); upgrade",
        "base": "model.base: './nowhere': no such directory",
    }
    assert {row["check"] for row in found["checks"]} == {*MACHINE, "config", *CHECKS}


def test_a_configuration_that_does_not_load_is_a_finding_too(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("tasks: {support: {}}\nhttp: {prot: 1}\n")
    result = retaind("doctor", cwd=tmp_path)
    assert result.returncode == 1
    assert "fail  config     http.prot (config.yaml:2): unknown key; did you mean port?" in result.stdout
    assert "mend: mend it and run this again" in result.stdout
