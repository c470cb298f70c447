"""What is done and claimed in each chapter. A claim is about answers that were given, or about the gate's verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from daemon.demo.simulator import NOISY_SOURCE, Chapter
from daemon.demo.stage import Stage

Scene = Callable[[Stage, Chapter], None]

AFTER = 60
"""Events of a chapter that are kept for after its update."""
FIRST_LABELS, ASKED = 5, 12
FALL = RISE = 0.1


def opening(stage: Stage, chapter: Chapter) -> None:
    """From nothing to a first update."""
    cases = stage.simulator.cases(chapter)
    first = stage.host.answer(cases[0].text)
    stage.teller.say(
        f"before the first label: label {first['label']}, {first.get('reason')}, by version {first['version']}"
    )
    base = stage.version()
    ended = stage.play_through_update(cases, AFTER)
    served = stage.version()
    stage.expect(
        "a first update was promoted and answers",
        any(outcome.promoted for outcome in ended) and served != base,
        f"another version than {base}",
        f"{base} → {served}",
    )
    end = stage.prequential.value
    stage.expect("it has learnt the desks", end >= 0.6, "at least 60 % of the last 50", f"{end:.0%} of the last 50")


def new_classes(stage: Stage, chapter: Chapter) -> None:
    """The fast learner answers with a class after its first labels, without any update."""
    fresh = stage.simulator.fresh(chapter, FIRST_LABELS + ASKED)
    first, asked = fresh[:FIRST_LABELS], fresh[FIRST_LABELS:]
    name, before = chapter.fresh, stage.accuracy(asked)
    version = stage.version()
    stage.teller.say(
        f"{name!r} is unknown: of {ASKED} such texts {before:.0%} are answered with it; now {FIRST_LABELS} labels"
    )
    stage.host.send([case.event() for case in first])
    seconds = stage.settle()
    after, same = stage.accuracy(asked), stage.version() == version
    stage.report.facts["new_class"] = {
        "label": name,
        "labels": FIRST_LABELS,
        "seconds": round(seconds, 2),
        "before": before,
        "after": after,
    }
    stage.expect(
        f"{FIRST_LABELS} labels of a new class are in the answers, without an update",
        after - before >= 0.5 and same,
        "half of the unseen texts more, by the same version",
        f"{before:.0%} → {after:.0%} of {ASKED} unseen texts after {seconds:.1f} s, by version {version}",
    )
    cases = stage.simulator.cases(chapter)
    stage.play_through_update(cases, AFTER)


def new_words(stage: Stage, chapter: Chapter) -> None:
    """Accuracy falls; fast learner and update bring it back."""
    before = stage.prequential.value
    probed = stage.unseen(chapter)
    stage.teller.say(
        f"other words for the same things: {probed:.0%} of such texts are answered right, {before:.0%} of the last 50"
    )
    served = stage.version()
    ended = stage.play_through_update(stage.simulator.cases(chapter), AFTER)
    stretch = stage.prequential.stretch()
    stage.expect(
        "accuracy fell when the words changed",
        stretch.low <= before - FALL,
        f"{100 * FALL:.0f} points or more below {before:.0%}",
        f"{before:.0%} → {stretch.low:.0%}",
    )
    stage.expect(
        "an update was promoted",
        any(outcome.promoted for outcome in ended) and stage.version() != served,
        f"another version than {served}",
        f"{served} → {stage.version()}",
    )
    stage.expect(
        "after the swap it has recovered",
        stretch.end >= stretch.low + RISE,
        f"{100 * RISE:.0f} points or more above {stretch.low:.0%}",
        f"{stretch.low:.0%} → {stretch.end:.0%}",
    )


def noisy_source(stage: Stage, chapter: Chapter) -> None:
    """The gate keeps a candidate out that learnt from wrong labels; the labels are withdrawn."""
    cases = stage.simulator.cases(chapter)
    wrong = [case for case in cases if case.source == NOISY_SOURCE]
    before, served, updates = stage.unseen(chapter), stage.version(), len(stage.updates.outcomes)
    stage.teller.say(f"source {NOISY_SOURCE!r} brings {len(wrong)} labels at once, each class taken for another")
    stage.play(wrong, at_once=len(wrong))
    ended = stage.until_updated(updates)
    during = stage.unseen(chapter)
    stage.expect(
        "the gate rejected the candidate trained on them",
        bool(ended) and not any(outcome.promoted for outcome in ended) and stage.version() == served,
        f"no promotion, {served} still answers",
        f"{', '.join(f'{o.version} {o.decision}' for o in ended)}; {stage.version()} answers",
    )
    stage.teller.say(
        f"but the fast learner believed them: unseen texts {before:.0%} → {during:.0%}; they are withdrawn now"
    )
    stage.host.send([case.label_alone(None) for case in wrong])
    seconds = stage.settle()
    after = stage.unseen(chapter)
    stage.expect(
        "withdrawn labels leave the answers at once, without an update",
        after >= before - 0.05 and stage.version() == served,
        f"unseen texts near {before:.0%} again, by {served}",
        f"{during:.0%} → {after:.0%} after {seconds:.1f} s",
    )
    stage.play([case for case in cases if case.source != NOISY_SOURCE])


def new_routing(stage: Stage, chapter: Chapter) -> None:
    """A changed concept: what was right is wrong now, and the history with it until it is corrected."""
    cases = stage.simulator.cases(chapter)
    before, lead = stage.prequential.value, len(cases) // 4
    stage.teller.say("; ".join(f"{kind} → {label}" for kind, label in chapter.routes.items()))
    old = [case for case in stage.told if case.kind in chapter.routes and case.source != NOISY_SOURCE]
    stage.play(cases[:lead])
    low = stage.prequential.value
    updates = len(stage.updates.outcomes)
    stage.teller.say(f"the desks correct {len(old)} labels of the past: revisions of events that are stored")
    stage.host.send([case.label_alone(chapter.label(case.kind)) for case in old])
    stage.play(cases[lead : len(cases) - AFTER // 2])
    stage.until_updated(updates)
    stage.play(cases[len(cases) - AFTER // 2 :])
    stretch = stage.prequential.stretch()
    stage.expect(
        "accuracy fell when the routing changed",
        stretch.low <= before - FALL / 2,
        f"{100 * FALL / 2:.0f} points or more below {before:.0%}",
        f"{before:.0%} → {stretch.low:.0%} (at the correction {low:.0%})",
    )
    stage.expect(
        "with history corrected it follows the new routing",
        stretch.end >= stretch.low + FALL / 2,
        f"{100 * FALL / 2:.0f} points or more above {stretch.low:.0%}",
        f"{stretch.low:.0%} → {stretch.end:.0%}",
    )


def incidents(stage: Stage, chapter: Chapter) -> None:
    """One class is most of the traffic, and labels come late."""
    cases = stage.simulator.cases(chapter)
    late = sum(case.late > 0 for case in cases)
    stage.teller.say(f"{late} of {len(cases)} labels come {chapter.delay} events after their event")
    stage.play(cases)
    stage.late_labels()
    stage.settle()
    found = stage.unseen(chapter)
    stage.expect(
        "late labels of rare and frequent classes alike were learnt",
        found >= 0.6,
        "at least 60 % of unseen texts, balanced over classes",
        f"{found:.0%}",
    )


SCENES: Mapping[str, Scene] = {
    "opening": opening,
    "new-classes": new_classes,
    "new-words": new_words,
    "noisy-source": noisy_source,
    "new-routing": new_routing,
    "incidents": incidents,
}
"""Name of a chapter -> what is done in it."""


def rollback(stage: Stage) -> None:
    """Back to the version before, live, and forward again."""
    stage.host.wait(lambda: not stage.look(), "the last update to end", 0.1)
    stage.settle()
    served = stage.version()
    answer = stage.host.call("/v1/tasks/desk/rollback", {"why": "demo: it can be undone"})
    seconds = stage.host.wait(lambda: stage.version() == answer["champion"], "answers by the version rolled back to")
    stage.expect(
        "rolled back, live",
        answer["champion"] != served,
        f"another version than {served}",
        f"{served} → {answer['champion']} in the answers after {seconds:.2f} s",
    )
    stage.host.call("/v1/tasks/desk/champion", {"version": served, "why": "demo: and done again"}, "PUT")
    seconds = stage.host.wait(lambda: stage.version() == served, "answers by the version promoted again")
    stage.expect("promoted again", stage.version() == served, served, f"{served} answers after {seconds:.2f} s")
