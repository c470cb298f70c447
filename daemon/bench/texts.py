"""Business texts of our own: twenty classes, log-normal lengths (median 26 tokens, mean 33), seeded.

Each begins with what it is about, so that a class can be learned, and goes on in clauses that fit any class
until it is as long as it was drawn. A number makes it distinct.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

MEDIAN_TOKENS, SIGMA = 26, 0.7
LONGEST_TOKENS = 126
"""Longer draws are cut here, as the model would cut them."""
SHORTEST_WORDS = 6
TOKENS_PER_WORD = 1.04
"""Of these words, by the default tokenizer; its two special tokens come on top."""

SUBJECTS: Mapping[str, str] = {
    "card_lost": "my card was lost",
    "card_declined": "the card was declined",
    "refund_missing": "the refund is missing",
    "invoice_wrong": "the invoice is wrong",
    "parcel_late": "our parcel is late",
    "parcel_damaged": "the parcel came damaged",
    "login_blocked": "my login is blocked",
    "password_reset": "please reset my password",
    "outage_region": "the region is down",
    "disk_alarm": "a disk is full",
    "contract_end": "we end the contract",
    "price_increase": "the price went up",
    "leave_request": "I ask for leave",
    "payroll_error": "my salary is wrong",
    "training_offer": "which courses are offered",
    "quote_wanted": "send us a quote",
    "campaign_stop": "stop sending these mails",
    "meeting_moved": "the meeting is moved",
    "profit_warning": "the profit fell sharply",
    "dividend_raised": "the dividend was raised",
}
WHO = ("the customer", "our team", "a colleague", "the supplier", "my manager", "the branch", "someone in sales")
DID = ("asked about it", "wrote twice", "called this morning", "saw the notice", "waited for an answer", "sent a note")
WHEN = ("on Monday", "last week", "since the update", "before the holidays", "at the end of the month", "yesterday")
THEN = ("and nobody replied", "but the form did not open", "so we need help", "and it is urgent", "as agreed before")


class Text(NamedTuple):
    text: str
    label: str


def texts(count: int, seed: int = 0, start: int = 0) -> list[Text]:
    """``count`` texts; ``start``: the number of the first, for further ones that differ from the former."""
    draw = random.Random(f"{seed}/{start}")
    labels = list(SUBJECTS)
    return [_text(draw, number, draw.choice(labels)) for number in range(start, start + count)]


def _text(draw: random.Random, number: int, label: str) -> Text:
    tokens = min(LONGEST_TOKENS, draw.lognormvariate(0, SIGMA) * MEDIAN_TOKENS)
    wanted = max(SHORTEST_WORDS, round((tokens - 2) / TOKENS_PER_WORD))
    words = [*SUBJECTS[label].split(), str(number)]
    while len(words) < wanted:
        words += _clause(draw)
    return Text(" ".join(words[:wanted]), label)


def _clause(draw: random.Random) -> Sequence[str]:
    return " ".join(draw.choice(part) for part in (WHO, DID, WHEN, THEN)).split()
