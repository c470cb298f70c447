"""``versions show --card`` and ``versions diff`` as a person meets them."""

from __future__ import annotations

from pathlib import Path

from daemon.registry.store import FileRegistry
from tests.cli.run import document, retaind
from tests.registry.judged import judge, make


def test_two_versions_are_compared_and_one_has_its_card(tmp_path: Path) -> None:
    # Given two versions in the registry
    (tmp_path / "config.yaml").write_text("state_dir: ./state\ntasks: {support: {}}\n")
    registry = FileRegistry(tmp_path / "state" / "registry")
    for epochs in (1, 2):
        judge(registry, make(registry, tmp_path, ["a"], epochs=epochs, loss=1.0).id, promoted=True)
    # Then the difference and the card are told, as text and as a document
    told = retaind("versions", "diff", "000001", "000002", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert "config      training.epochs: 1 -> 2 (+1)" in told.stdout.splitlines()
    found = document(retaind("versions", "diff", "000001", "000002", "--json", cwd=tmp_path))
    assert found["config"] == {"training.epochs": [1, 2, 1]}
    card = retaind("versions", "show", "000002", "--card", cwd=tmp_path)
    assert card.stdout.startswith("# support, version 000002\n")
    # And what is not there is an error with status 1
    missing = retaind("versions", "diff", "000001", "000009", cwd=tmp_path)
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "000009" in missing.stderr
