"""Given any text, when it is normalised, then the quick way for usual texts gives what the plain one gives."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from daemon.tasks.schema import normalise_text

ASCII = st.text(st.characters(max_codepoint=127), max_size=30)


@given(st.one_of(ASCII, st.text(max_size=30), st.text(" \t\n\x1c\x1fab", max_size=12)))
def test_it_is_nfkc_with_runs_of_white_space_as_one_space(text: str) -> None:
    assert normalise_text(text) == " ".join(unicodedata.normalize("NFKC", text).split())
