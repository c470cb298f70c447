"""What every strategy of the catalogue passes."""

from __future__ import annotations

import re

import pytest

from strategies import catalog
from strategies.checks import check_strategy


class StrategyContract:
    """Derive, and give ``name`` as a fixture."""

    @pytest.fixture
    def name(self) -> str:
        raise NotImplementedError

    def test_keeps_the_protocol(self, name: str) -> None:
        # Given a strategy with its default options, Then every check holds
        check_strategy(lambda: catalog.make(name, {}))

    def test_unknown_option_is_refused_by_name(self, name: str) -> None:
        # When an option is given that does not exist, Then key and allowed options are in the message
        with pytest.raises(ValueError, match=rf"{re.escape(name)}\.nonsense: no such option; allowed: "):
            catalog.check(name, {"nonsense": 1})
