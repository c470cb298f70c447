"""What happens in the demo, in order. Each chapter goes on from where the one before it left the world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from daemon.demo.language import load_language
from daemon.demo.simulator import Chapter


def chapters() -> tuple[Chapter, ...]:
    """Six of them, with their standard numbers of events."""
    first = _even("service", "people")
    most = {**first, **_even("finance", "marketing")}
    opening = Chapter("opening", "an inbox opens: customer service and people desk", 160, first)
    new = replace(
        opening,
        name="new-classes",
        title="seven classes are new: sentences of company reports, replies to campaigns",
        events=200,
        shares=most,
        fresh="marketing_unsubscribe",
    )
    shift = replace(
        new,
        name="new-words",
        title="customers and employees use other words for the same things",
        events=220,
        shifted=frozenset({"service", "people"}),
    )
    noise = replace(
        shift,
        name="noisy-source",
        title="a nightly import brings labels that are all wrong",
        events=320,
        shares={**most, **dict.fromkeys(first, 3.0)},
        noisy=0.9,
        noisy_domains=frozenset({"service", "people"}),
    )
    concept = replace(
        shift,
        name="new-routing",
        title="two desks are reorganised: the same words get other labels",
        events=200,
        routes={"service_login": "operations_access", "people_expenses": "people_payroll"},
    )
    storm = replace(
        concept,
        name="incidents",
        title="an incident storm: one class is half of everything, most labels come late",
        events=130,
        shares={**dict.fromkeys(most, 0.5), **_even("operations"), "operations_network": 10.5},
        late=0.7,
    )
    return opening, new, shift, noise, concept, storm


def _even(*domains: str) -> Mapping[str, float]:
    return dict.fromkeys(load_language().classes(*domains), 1.0)
