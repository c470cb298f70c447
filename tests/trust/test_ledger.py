"""The ledger: labels held back, let in again, remembered, and its file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from daemon.config.task import Trust
from daemon.errors import StoreCorrupt
from daemon.trust.belief import SURE
from daemon.trust.entries import Entries, Given
from daemon.trust.errors import GROWN
from daemon.trust.finding import Finding
from daemon.trust.inputs import Inputs, Twin
from daemon.trust.ledger import Ledger, read_summary

CHANCE = np.array([0.1, 0, 0, 0, 0, 0, 0, 0.9])
AGREES, AGAINST = Finding(0, CHANCE, "a", 1.0, 30), Finding(SURE, CHANCE, "a", 9000.0, 30)


def label(number: int, source: str, name: str = "a", *, text: int | None = None) -> Given:
    key = number if text is None else text
    return Given(f"e{number}", key.to_bytes(16, "big").hex(), name, source, number, True)


class Story:
    """A ledger that has heard a careful and a careless source."""

    def __init__(self, path: Path, **config: object) -> None:
        self.ledger, self.count = Ledger(path, Trust.model_validate(config)), 0

    def says(self, source: str, finding: Finding | None, name: str = "a", *, text: int | None = None) -> bool:
        self.count += 1
        return self.ledger.judge(label(self.count, source, name, text=text), finding)

    def goes_on(self, rounds: int = 200) -> None:
        for number in range(rounds):
            self.says("careful", AGREES)
            self.says("careless", AGAINST if number % 4 == 0 else AGREES, "b" if number % 4 == 0 else "a")


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path / "trust" / "support.json")


def test_given_a_careless_source_when_contradicted_then_its_label_is_held_back_and_earlier_ones_too(
    story: Story,
) -> None:
    story.goes_on()
    assert story.says("careless", AGAINST, "b")
    assert not story.says("careful", AGAINST, "b")
    assert not story.says("careless", AGREES)
    # When what it said before it was distrusted is looked through
    before, revision = len(story.ledger.suspects), story.ledger.revision
    assert story.ledger.accuse() > 0
    # Then all that the model contradicted is held back, and HeadStates have to be brought in line
    assert before < len(story.ledger.suspects) == 51
    assert story.ledger.revision > revision
    assert {row.source for row in story.ledger.suspects} == {"careless"}


def test_given_no_quarantine_then_trust_is_learnt_and_nothing_is_held_back(tmp_path: Path) -> None:
    story = Story(tmp_path / "support.json", quarantine=False)
    story.goes_on()
    assert not story.says("careless", AGAINST, "b")
    assert story.ledger.accuse() == 0
    assert story.ledger.summary()["sources"]["careless"]["distrusted"]


def test_given_a_suspect_when_another_source_says_the_same_of_the_text_then_both_count(story: Story) -> None:
    story.goes_on()
    assert story.says("careless", AGAINST, "b", text=7_000)
    held = f"e{story.count}"
    # the same source cannot confirm itself
    assert story.says("careless", AGAINST, "b", text=7_000)
    assert story.ledger.holds(held)
    assert not story.says("careful", AGAINST, "b", text=7_000)
    assert not story.ledger.holds(held)
    assert held in story.ledger.cleared


def test_given_two_labels_of_one_text_then_the_contradiction_is_counted_and_shown(story: Story) -> None:
    story.says("careful", None, "a", text=7_000)
    story.says("careless", None, "b", text=7_000)
    story.says("careless", None, "b", text=7_000)
    assert story.ledger.inputs.contradictions == 1
    (shown,) = story.ledger.inputs.shown
    assert (shown.id, shown.label, shown.other_id, shown.other_label) == ("e2", "b", "e1", "a")
    # And an erased event is named nowhere
    story.ledger.forget("e1", label(1, "", text=7_000).key, erased=True)
    assert story.ledger.inputs.shown == ()


def test_given_a_trusted_source_on_the_same_text_when_contradicted_by_a_distrusted_one_then_it_is_held_back(
    story: Story,
) -> None:
    story.goes_on()
    story.says("careful", AGREES, "a", text=7_000)
    assert story.says("careless", AGREES, "b", text=7_000)


def test_given_a_distrusted_source_on_the_same_text_then_it_accuses_nobody(story: Story) -> None:
    # Given two sources that are distrusted, of which the model agrees with one on a text
    story.goes_on()
    for number in range(200):
        story.says("sloppy", AGAINST if number % 4 == 0 else AGREES, "b" if number % 4 == 0 else "a")
    story.says("careless", AGREES, "a", text=7_000)
    # When the other gives the text another label, then the first one's word is none against it
    assert not story.says("sloppy", AGREES, "b", text=7_000)


def test_given_answers_before_labels_then_the_share_of_errors_is_known(story: Story) -> None:
    story.goes_on(40)
    assert story.ledger.summary()["error"] == pytest.approx(10 / 80, abs=0.01)
    # And labels that the model was not asked of change nothing
    for _ in range(100):
        story.says("careful", None, "b")
    assert story.ledger.summary()["error"] == pytest.approx(10 / 80, abs=0.01)


def test_given_labels_of_classes_that_still_grow_then_they_are_errors_but_not_of_grown_classes(story: Story) -> None:
    # Given a model that is right about grown classes, and wrong about one that misses an example to be grown
    for _ in range(80):
        story.says("careful", AGREES)
        story.says("careful", replace(AGAINST, examples=GROWN - 1), "b")
    found = story.ledger.summary()
    assert found["error"] == pytest.approx(0.5, abs=0.01)
    assert found["grown_error"] == 0.0
    # When it has that too, then its errors count
    story.says("careful", replace(AGAINST, examples=GROWN), "b")
    assert story.ledger.summary()["grown_error"] == pytest.approx(1 / 81, abs=0.01)


def test_given_a_ledger_of_an_earlier_retaind_when_opened_then_grown_classes_count_anew(story: Story) -> None:
    # Given a file that knows no grown classes
    story.goes_on()
    story.ledger.save()
    content = orjson.loads(story.ledger.path.read_bytes())
    del content["grown_errors"], content["summary"]["grown_error"]
    story.ledger.path.write_bytes(orjson.dumps(content))
    # Then it opens, and all else is there
    assert read_summary(story.ledger.path)["grown_error"] is None
    again = Ledger.open(story.ledger.path, story.ledger.config)
    assert again.summary() == {**story.ledger.summary(), "grown_error": None}


def test_given_a_release_when_obeyed_then_it_counts_once_and_the_source_is_trusted_more(story: Story) -> None:
    story.goes_on()
    story.ledger.accuse()
    ids = [row.id for row in story.ledger.suspects][:30]
    before = story.ledger.summary()["sources"]["careless"]["trust"]
    assert story.ledger.obey([ids]) == 30
    assert story.ledger.obey([ids]) == 0
    # And not again where the event is held back once more
    story.ledger.suspects.put(label(int(ids[0][1:]), "careless", "b"))
    assert story.ledger.obey([ids]) == 0
    assert story.ledger.obey([ids, ids]) == 1
    assert story.ledger.summary()["sources"]["careless"]["trust"] > before
    assert not story.ledger.suspects.ids & set(ids)


def test_given_many_releases_at_once_then_none_is_forgotten_before_heads_have_it(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given more suspects than tables of other kinds hold
    monkeypatch.setattr("daemon.trust.ledger.WAITING", 10)
    ledger = Ledger(story.ledger.path, Trust(max_suspects=40))
    for number in range(40):
        ledger.suspects.put(label(number, "careless"))
    # When all are released, then heads can take every one of them in again
    assert ledger.obey([[f"e{number}" for number in range(40)]]) == 40
    assert len(ledger.cleared) == 40


def test_given_a_full_quarantine_then_labels_are_let_in(tmp_path: Path) -> None:
    story = Story(tmp_path / "support.json", max_suspects=3)
    story.goes_on()
    assert [story.says("careless", AGAINST, "b") for _ in range(6)].count(True) == 0
    assert len(story.ledger.suspects) == 3


def test_given_a_saved_ledger_when_opened_then_nothing_is_lost(story: Story) -> None:
    story.goes_on()
    story.says("careless", None, "young")
    story.ledger.cursor = 402
    story.ledger.save()
    again = Ledger.open(story.ledger.path, story.ledger.config)
    assert again.summary() == story.ledger.summary() == read_summary(story.ledger.path)
    assert list(again.suspects) == list(story.ledger.suspects)
    assert list(again.young) == list(story.ledger.young)
    assert again.cursor == 402
    # And both go on alike
    assert again.accuse() == story.ledger.accuse()
    # And without quarantine all that was held back is let in
    assert len(Ledger.open(story.ledger.path, Trust(quarantine=False)).suspects) == 0


def test_given_a_broken_file_when_opened_then_it_is_named_with_the_mend(tmp_path: Path) -> None:
    path = tmp_path / "support.json"
    path.write_text("{}")
    with pytest.raises(StoreCorrupt, match=r"support\.json: not a ledger of labels .*delete it"):
        Ledger.open(path, Trust())
    with pytest.raises(StoreCorrupt, match=r"support\.json"):
        read_summary(path)


def test_given_a_table_that_is_full_when_put_then_the_oldest_goes() -> None:
    table = Entries(2)
    assert [table.put(label(number, "", text=1)) for number in (1, 2)] == [None, None]
    gone = table.put(label(3, "", text=1))
    assert gone is not None
    assert gone.id == "e1"
    assert [row.id for row in table.of_input(gone.key)] == ["e2", "e3"]


def test_given_an_event_that_spoke_of_an_input_then_only_others_are_its_twins() -> None:
    inputs = Inputs()
    inputs.put("k", Twin("e1", "a", "crm"), stands=True)
    assert inputs.twin("k", "e1") is None
    # When another event's label is gone, then this one's stands
    inputs.forget("k", "e2")
    assert inputs.twin("k", "e2") == Twin("e1", "a", "crm")
    inputs.forget("k", "e1")
    assert inputs.twin("k", "e2") is None


def test_given_many_inputs_then_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.trust.inputs.REMEMBERED", 3)
    inputs = Inputs()
    for number in range(5):
        inputs.put(str(number), Twin(str(number), "a", ""), stands=True)
    assert [number for number in range(5) if inputs.twin(str(number), "other")] == [2, 3, 4]
