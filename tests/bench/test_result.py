"""What all benches share: the order of measuring, the texts, the registry of claims, the table."""

from __future__ import annotations

import importlib
import re

from daemon.bench.claims import CLAIMS
from daemon.bench.model import MAX_TOKENS
from daemon.bench.result import document, interleave
from daemon.bench.texts import LONGEST_TOKENS, SUBJECTS, texts
from daemon.cli.bench import markdown
from daemon.config.task import Model
from daemon.events import Input
from daemon.models.base import resolve_base
from daemon.models.tokens import Tokenizer


def test_given_two_ways_when_interleaved_then_each_round_begins_with_another() -> None:
    order: list[str] = []

    def way(name: str) -> float:
        order.append(name)
        return float(len(order))

    found = interleave({"a": lambda: way("a"), "b": lambda: way("b")}, 3)
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert found == {"a": [1.0, 4.0, 5.0], "b": [2.0, 3.0, 6.0]}


def test_every_claim_has_a_module_that_runs() -> None:
    for claim in CLAIMS.values():
        assert callable(importlib.import_module(claim.module).run)


def test_the_texts_are_seeded_distinct_and_of_the_length_that_is_said() -> None:
    made = texts(2000)
    assert made == texts(2000)
    assert len({text.text for text in made}) == 2000
    assert not {text.text for text in made} & {text.text for text in texts(500, start=2000)}
    assert {text.label for text in made} == set(SUBJECTS)
    tokenizer = Tokenizer.load(resolve_base(Model()).path)
    lengths = [len(ids) for ids, _ in tokenizer.encode_many([Input(text=text.text) for text in made], 1000)]
    assert max(lengths) <= MAX_TOKENS
    assert LONGEST_TOKENS < MAX_TOKENS
    assert 30 < sum(lengths) / len(lengths) < 36


def test_a_result_is_a_markdown_table_with_machine_and_versions() -> None:
    result = document(2.5, "times", [{"what": "ours", "a": 1}, {"what": "peer", "b": 2}], packages=("numpy",), texts=3)
    shown = markdown("name", result)
    assert shown.startswith("### name: 2.5 times\n\n| what | a | b |\n| --- | --- | --- |\n| ours | 1 |  |\n")
    assert re.search(r"texts 3 · load average [\d.]+\n\n.*CPUs.* · python 3.* · numpy \d", shown)
