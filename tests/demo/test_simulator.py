"""The simulated stream: the same for the same seed, varied, and with each difficulty at the stated rate."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from daemon.demo.chapters import chapters
from daemon.demo.grammar import expand
from daemon.demo.language import DOMAINS, Vocabulary, domain_of, load_language
from daemon.demo.simulator import CLEAN_SOURCE, NOISY_SOURCE, TASK, WRONG, Case, Chapter, Simulator, stream
from daemon.errors import DecodeError
from daemon.events import Op
from daemon.stream.json_form import JsonEvents
from daemon.stream.ports import Record

MANY = 3000
BY_NAME = {chapter.name: chapter for chapter in chapters()}


def many(name: str, seed: int = 0, **changes: object) -> list[Case]:
    """A chapter made long, so that rates can be told."""
    return Simulator(seed).cases(replace(BY_NAME[name], events=MANY, **changes))  # type: ignore[arg-type]


def vocabulary(cases: Sequence[Case]) -> set[str]:
    """Words of five letters or more that occur more than once."""
    words = Counter(word for case in cases for word in re.findall(r"[a-z]{5,}", case.text.lower()))
    return {word for word, n in words.items() if n > 1}


def test_the_same_seed_gives_the_same_events_and_another_seed_others() -> None:
    for chapter in chapters():
        first, again, other = (Simulator(seed).cases(chapter) for seed in (3, 3, 4))
        assert first == again
        assert [case.text for case in first] != [case.text for case in other]
        assert Simulator(3).probes(chapter, 20) == Simulator(3).probes(chapter, 20)


@pytest.mark.parametrize("kind", load_language().classes())
@pytest.mark.parametrize("words", ["usual", "shifted"])
def test_every_class_has_thousands_of_distinct_sentences(kind: str, words: Vocabulary) -> None:
    # Given many sentences of a class
    rng = random.Random(1)
    sentences = [load_language().sentence(kind, words, rng) for _ in range(MANY)]
    # Then most differ in more than their numbers, and nothing of a template is left
    assert len({re.sub(r"\d", "#", sentence) for sentence in sentences}) > 1800
    assert [sentence for sentence in sentences if re.search(r"[\[\]{}|]|  | [,.?!]|^\W", sentence)] == []


def test_there_are_five_domains_and_every_chapter_names_known_classes() -> None:
    known = load_language().classes()
    assert {domain_of(kind) for kind in known} == set(DOMAINS)
    for chapter in chapters():
        assert set(chapter.shares) | set(chapter.routes) <= set(known)
    assert set(chapters()[-1].shares) == set(known)


def test_two_in_a_hundred_labels_are_wrong_and_the_rest_right() -> None:
    cases = many("opening")
    wrong = [case for case in cases if case.given != case.right]
    assert abs(len(wrong) / MANY - WRONG) < 0.008
    assert {case.given for case in wrong} <= set(BY_NAME["opening"].labels)
    assert {case.source for case in cases} == {CLEAN_SOURCE}


def test_new_classes_come_in_with_their_chapter() -> None:
    before, after = ({case.kind for case in many(name)} for name in ("opening", "new-classes"))
    assert before < after
    assert {domain_of(kind) for kind in after - before} == {"finance", "marketing"}
    assert BY_NAME["new-classes"].fresh in after - before


def test_a_vocabulary_shift_keeps_classes_and_changes_words() -> None:
    # Given the same chapter in both vocabularies
    shifted = many("new-words")
    usual = many("new-words", shifted=frozenset())
    domains = BY_NAME["new-words"].shifted
    for domain in DOMAINS[:4]:
        a, b = ([case for case in cases if domain_of(case.kind) == domain] for cases in (usual, shifted))
        # Then classes and shares stay
        assert [case.right for case in a] == [case.right for case in b]
        # And in the domains that shift most words are others
        common = len(vocabulary(a) & vocabulary(b)) / len(vocabulary(a) | vocabulary(b))
        assert (common < 0.6) == (domain in domains), (domain, common)


def test_a_concept_change_keeps_words_and_changes_labels() -> None:
    before, after = many("new-words"), many("new-routing")
    routes = BY_NAME["new-routing"].routes
    for kind, label in routes.items():
        then, now = ([case for case in cases if case.kind == kind] for cases in (before, after))
        assert {case.right for case in then} == {kind}
        assert {case.right for case in now} == {label}
        common = len(vocabulary(then) & vocabulary(now)) / len(vocabulary(then) | vocabulary(now))
        assert common > 0.6
    assert {case.right for case in after if case.kind not in routes} == {
        case.kind for case in after if case.kind not in routes
    }


def test_one_source_is_all_wrong_and_always_in_the_same_way() -> None:
    cases = many("noisy-source")
    noisy = [case for case in cases if case.source == NOISY_SOURCE]
    chapter = BY_NAME["noisy-source"]
    concerned = sum(domain_of(case.kind) in chapter.noisy_domains for case in cases)
    assert abs(len(noisy) / concerned - chapter.noisy) < 0.03
    assert [case for case in noisy if case.given == case.right] == []
    taken = {(case.right, case.given) for case in noisy}
    assert len(taken) == len({right for right, _ in taken}) == len({given for _, given in taken})
    rest = [case for case in cases if case.source != NOISY_SOURCE]
    assert abs(sum(case.given != case.right for case in rest) / len(rest) - WRONG) < 0.015


def test_one_class_is_half_of_the_incidents_and_most_labels_come_late() -> None:
    chapter = BY_NAME["incidents"]
    cases = many("incidents")
    share, count = Counter(case.kind for case in cases).most_common(1)[0]
    assert share == "operations_network"
    assert abs(count / MANY - 0.5) < 0.05
    assert abs(sum(case.late > 0 for case in cases) / MANY - chapter.late) < 0.03


def test_a_late_label_comes_alone_after_its_delay() -> None:
    # Given a chapter with late labels as a stream
    chapter = BY_NAME["incidents"]
    cases = Simulator(0).cases(chapter)
    events = list(stream(cases))
    place = {(event["id"], "text" in event): number for number, event in enumerate(events)}
    # Then each late one is a request first and a label alone later
    late = [case for case in cases if case.late]
    for case in late:
        asked, labelled = place[case.id, True], place[case.id, False]
        assert "label" not in events[asked]
        assert events[labelled]["label"] == case.given
        assert labelled > asked
        between = {event["id"] for event in events[asked + 1 : labelled] if "text" in event}
        assert len(between) == min(chapter.delay, len(cases) - 1 - cases.index(case))
    # And every label comes exactly once
    assert Counter(event["id"] for event in events if "label" in event) == Counter(case.id for case in cases)


def test_events_are_what_the_daemon_reads() -> None:
    # Given every chapter as records
    decoder = JsonEvents()
    seen: Counter[Op] = Counter()
    for chapter in chapters():
        cases = Simulator(0).cases(chapter)
        withdrawn = [case.label_alone(None) for case in cases[:3]]
        for number, event in enumerate([*stream(cases), *withdrawn]):
            # When they are decoded, then none is refused
            try:
                decoded = decoder.decode(Record("retaind.labelled", 0, number, 0.0, None, json.dumps(event).encode()))
            except DecodeError as error:
                pytest.fail(f"{event}: {error}")
            assert decoded.task == TASK
            seen[decoded.op] += 1
    assert seen[Op.RETRACT] == 3 * len(chapters())
    assert set(seen) == {Op.UPSERT, Op.RETRACT}


def test_probes_are_balanced_right_and_never_in_the_stream() -> None:
    simulator = Simulator(0)
    for chapter in chapters():
        probes = simulator.probes(chapter, 48)
        assert {case.right for case in probes} == set(chapter.labels)
        assert [case for case in probes if case.given != case.right] == []
        texts = {case.text for case in simulator.cases(chapter)}
        assert sum(case.text in texts for case in probes) <= 1


def test_a_word_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r"\{colour\}: is not in the word lists; they have size"):
        expand("a {colour} kettle", {"size": ["small"]}, random.Random(0))


def test_a_word_that_holds_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 16 deep"):
        expand("{a}", {"a": ["x{a}"]}, random.Random(0))


def test_a_chapter_says_its_labels_once_each() -> None:
    chapter = Chapter("c", "c", 1, {"a": 1.0, "b": 1.0, "c": 1.0}, routes={"a": "b"})
    assert chapter.labels == ("b", "c")
