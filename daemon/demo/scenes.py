"""What is done and claimed in each chapter. A claim is about answers that were given, or about the gate's verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from daemon.demo.simulator import NOISY_SOURCE, Chapter
from daemon.demo.stage import Stage
from daemon.demo.updates import Outcome

Scene = Callable[[Stage, Chapter], None]

AFTER = 50
"""Events of a chapter that are kept for after its update."""
FIRST_LABELS, ASKED = 5, 12
FALL = RISE = 0.1


def opening(stage: Stage, chapter: Chapter) -> None:
    """From nothing: the fast learner alone, on the encoder as it is."""
    cases = stage.simulator.cases(chapter)
    first = stage.host.answer(cases[0].text)
    stage.teller.say(f"before any label: label {first['label']}, {first.get('reason')}, by version {first['version']}")
    stage.play(cases)
    end = stage.prequential.value
    stage.expect(
        f"the fast learner has learnt the desks from {len(cases)} labels",
        end >= 0.6,
        "at least 60% of the last 50",
        f"{end:.0%} of the last 50 right, by version {stage.version()}: no weight of the encoder has moved yet",
    )


def new_classes(stage: Stage, chapter: Chapter) -> None:
    """The fast learner answers with a class after its first labels; then comes a first update."""
    fresh = stage.simulator.fresh(chapter, FIRST_LABELS + ASKED)
    first, asked = fresh[:FIRST_LABELS], fresh[FIRST_LABELS:]
    before, version = stage.accuracy(asked), stage.version()
    stage.teller.say(f"nobody knows {chapter.fresh!r}: {before:.0%} of {ASKED} such texts are answered with it")
    stage.host.send([case.event() for case in first])
    seconds = stage.settle()
    after, now = stage.accuracy(asked), stage.version()
    stage.report.facts["new_class"] = {
        "label": chapter.fresh,
        "labels": FIRST_LABELS,
        "seconds": round(seconds, 2),
        "before": before,
        "after": after,
    }
    stage.expect(
        f"after its first {FIRST_LABELS} labels the class is answered, without an update",
        after - before >= 0.5 and now == version,
        f"half of the unseen texts more, by version {version}",
        f"{before:.0%} → {after:.0%} of {ASKED} unseen texts, {seconds:.1f} s after the labels, by version {now}",
    )
    shown(stage, stage.play_through_update(stage.simulator.cases(chapter), AFTER), version)


def new_words(stage: Stage, chapter: Chapter) -> None:
    """Accuracy falls; fast learner and update bring it back."""
    before, served = stage.prequential.value, stage.version()
    ended = stage.play_through_update(stage.simulator.cases(chapter), AFTER)
    stretch = stage.prequential.stretch()
    stage.expect(
        "accuracy fell when the words changed",
        stretch.low <= before - FALL,
        f"{100 * FALL:.0f} points or more below {before:.0%}",
        f"{before:.0%} → {stretch.low:.0%}",
    )
    shown(stage, ended, served)
    stage.expect(
        "after the swap it has recovered",
        stretch.end >= stretch.low + RISE,
        f"{100 * RISE:.0f} points or more above {stretch.low:.0%}",
        f"{stretch.low:.0%} → {stretch.end:.0%}",
    )


def shown(stage: Stage, ended: Sequence[Outcome], served: str) -> None:
    """A swap, by the gate or, where it sees neither gain nor harm, by hand."""
    judged = [(outcome, outcome.version) for outcome in ended if outcome.version is not None]
    promoted = [version for outcome, version in judged if outcome.promoted]
    fit = [version for outcome, version in judged if outcome.decision != "fail"]
    if fit and not promoted:
        stage.teller.say(f"the gate sees no sure gain by {fit[-1]}, and no harm; it is promoted by hand")
        promote(stage, fit[-1], "demo: to show a swap")
        promoted.append(fit[-1])
    now = stage.version()
    stage.expect(
        "an update was promoted and answers",
        now != served and now in promoted,
        f"a promoted version instead of {served}",
        f"{served} → {now}",
    )


def promote(stage: Stage, version: str, why: str) -> float:
    """By hand; returns after how many seconds it answers."""
    stage.host.call("/v1/tasks/desk/champion", {"version": version, "why": why}, "PUT")
    return stage.host.wait(lambda: stage.version() == version, "answers by the version promoted by hand")


def noisy_source(stage: Stage, chapter: Chapter) -> None:
    """The gate keeps a candidate out that learnt from wrong labels; the labels are withdrawn."""
    cases = stage.simulator.cases(chapter)
    wrong = [case for case in cases if case.source == NOISY_SOURCE]
    before, served, updates = stage.unseen(chapter), stage.version(), len(stage.updates.outcomes)
    stage.teller.say(f"source {NOISY_SOURCE!r} brings {len(wrong)} labels at once, each class taken for another")
    stage.play(wrong, at_once=len(wrong))
    ended = stage.until_updated(updates)
    during = stage.unseen(chapter)
    stage.teller.say("(among the held-out events are some of the import, with their wrong labels)")
    stage.expect(
        "the gate rejected the candidate trained on them",
        bool(ended) and not any(outcome.promoted for outcome in ended) and stage.version() == served,
        f"no promotion, {served} still answers",
        f"{', '.join(f'{o.version} {o.decision}' for o in ended)}; {stage.version()} answers",
    )
    moved = "the fast learner believed them" if during < before - 0.02 else "the answers hardly moved"
    stage.teller.say(f"{moved} (unseen texts {before:.0%} → {during:.0%}); the import is withdrawn now")
    stage.host.send([case.label_alone(None) for case in wrong])
    seconds = stage.settle()
    after = stage.unseen(chapter)
    stage.expect(
        "with the wrong labels withdrawn it answers as before, without an update",
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
        "at least 60% of unseen texts, balanced over classes",
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
    seconds = promote(stage, served, "demo: and done again")
    stage.expect("promoted again", stage.version() == served, served, f"{served} answers after {seconds:.2f} s")
