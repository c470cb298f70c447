"""The contract, and what is streaming LDA's own."""

from __future__ import annotations

from tests.heads.contract import HeadContract

OPTIONS = {"layers": 3, "shrinkage_ratio": 0.1, "temperature": 1.0}


class TestSlda(HeadContract):
    kind = "slda"
    options = OPTIONS
