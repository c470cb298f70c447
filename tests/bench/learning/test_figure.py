from __future__ import annotations

import re
from xml.etree import ElementTree

from daemon.bench.learning.figure import HEIGHT, WIDTH, figure

SVG = "{http://www.w3.org/2000/svg}"


def test_a_figure_is_an_svg_with_a_line_and_a_name_for_each_learner() -> None:
    # Given more learners than there are colours, one with a name that is no XML
    curves = {f"learner <{number}>": [(10, 0.5), (100, number / 12)] for number in range(12)}
    # When they are drawn
    root = ElementTree.fromstring(figure("Accuracy & more", [50, 100], curves))
    # Then each has a line within the picture, in a colour or dash of its own
    lines = root.findall(f"{SVG}polyline")
    assert [line.findtext(f"{SVG}title") for line in lines] == list(curves)
    assert len({(line.get("stroke"), line.get("stroke-dasharray")) for line in lines}) == 12
    for line in lines:
        for x, y in re.findall(r"([\d.]+),([\d.]+)", str(line.get("points"))):
            assert 0 <= float(x) <= WIDTH
            assert 0 <= float(y) <= HEIGHT
    # And says in words what the lines end at; nothing is fetched
    assert "learner <3> ends at 0.250" in str(root.findtext(f"{SVG}desc"))
    assert "href" not in figure("t", [1], {"a": [(1, 0.1)]})
