"""The contract, and what is the closed-form head's own."""

from __future__ import annotations

from tests.heads.contract import HeadContract

OPTIONS = {"layers": 3, "width": 48, "ridge": 0.03, "young_events": 10.0, "sample_events": 500, "seed": 0}


class TestRanpac(HeadContract):
    kind = "ranpac"
    options = OPTIONS
    tolerance = 1e-3
