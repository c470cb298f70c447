"""Given texts, then ids are those of the base's own tokenizer, cut to what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.errors import VersionCorrupt
from daemon.events import Input
from daemon.models.tokens import Tokenizer
from tests.models.bases import minilm

CLS, SEP = 101, 102


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.load(minilm().path)


def test_a_text_stands_between_special_tokens(tokenizer: Tokenizer) -> None:
    ids, types = tokenizer.encode(Input(text="hello world"), 128)
    assert ids == (CLS, 7592, 2088, SEP)
    assert types is None


def test_a_long_text_is_cut_and_keeps_its_special_tokens(tokenizer: Tokenizer) -> None:
    ids, _ = tokenizer.encode(Input(text="word " * 500), 16)
    assert len(ids) == 16
    assert (ids[0], ids[-1]) == (CLS, SEP)


def test_the_length_may_change_from_call_to_call(tokenizer: Tokenizer) -> None:
    assert [len(tokenizer.encode(Input(text="word " * 500), n)[0]) for n in (16, 32, 8)] == [16, 32, 8]


def test_a_pair_has_types_and_the_longer_side_is_cut(tokenizer: Tokenizer) -> None:
    ids, types = tokenizer.encode(Input(text="word " * 500, text_pair="hello world"), 16)
    assert types is not None
    assert len(ids) == len(types) == 16
    # Then the short side is whole: hello, world and its separator
    assert ids[-3:] == (7592, 2088, SEP)
    assert sum(types) == 3


def test_many_are_encoded_as_one_by_one(tokenizer: Tokenizer) -> None:
    values = [Input(text="a"), Input(text="hello world", text_pair="b"), Input(tokens=("two", "words"))]
    assert tokenizer.encode_many(values, 32) == [tokenizer.encode(value, 32) for value in values]


def test_a_saved_tokenizer_gives_the_same_ids(tokenizer: Tokenizer, tmp_path: Path) -> None:
    # Given a tokenizer that has just cut to 8
    tokenizer.encode(Input(text="word " * 20), 8)
    tokenizer.save(tmp_path)
    again = Tokenizer.load(tmp_path)
    text = Input(text="word " * 20)
    assert again.encode(text, 128) == tokenizer.encode(text, 128)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(VersionCorrupt, match=r"tokenizer\.json"):
        Tokenizer.load(tmp_path)
