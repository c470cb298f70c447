"""Accuracy over the stream, all learners, as an SVG that fetches nothing and reads on light and dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 960, 480, 60, 48, 240, 52
COLOURS = ("#0969da", "#1a7f37", "#cf222e", "#9a6700", "#8250df", "#bf3989", "#1b7c83", "#bc4c00", "#6e7781", "#57606a")
DASHES = ("", "6 3", "2 3")
"""Learners beyond the colours are dashed."""
STYLE = (
    "text{font-family:system-ui,sans-serif;font-size:13px;fill:#57606a}.title{font-size:16px;font-weight:600}"
    ".grid{stroke:#8c959f;stroke-opacity:.25}.end{stroke:#8c959f;stroke-opacity:.5;stroke-dasharray:1 4}"
    ".line{fill:none;stroke-width:2;stroke-linejoin:round}"
)


def figure(title: str, ends: Sequence[int], curves: Mapping[str, Sequence[tuple[int, float]]]) -> str:
    """``curves``: name -> (events played, accuracy 0 to 1); ``ends``: where groups end, marked by dotted lines."""
    last = max([*ends, *(x for points in curves.values() for x, _ in points)])
    body = [*_axes(title, last), *(_vertical(_x(end, last)) for end in ends)]
    for number, (name, points) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        dash = DASHES[number // len(COLOURS) % len(DASHES)]
        stroke = f'stroke="{colour}" stroke-dasharray="{dash}"'
        path = " ".join(f"{_x(x, last):.1f},{_y(y):.1f}" for x, y in points)
        body.append(f'<polyline class="line" {stroke} points="{path}"><title>{escape(name)}</title></polyline>')
        y = TOP + 8 + 22 * number
        right = WIDTH - RIGHT + 16
        body.append(f'<line class="line" {stroke} x1="{right}" x2="{right + 24}" y1="{y}" y2="{y}"/>')
        body.append(f'<text x="{right + 32}" y="{y + 4}">{escape(name)} {points[-1][1]:.3f}</text>')
    described = "; ".join(f"{name} ends at {points[-1][1]:.3f}" for name, points in curves.items())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
        f"<title>{escape(title)}</title><desc>{escape(described)}</desc><style>{STYLE}</style>{''.join(body)}</svg>\n"
    )


def _axes(title: str, last: int) -> list[str]:
    made = [f'<text class="title" x="{LEFT}" y="24">{escape(title)}</text>']
    for tenth in range(0, 11, 2):
        y = _y(tenth / 10)
        made.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        made.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tenth / 10:.1f}</text>')
    for part in range(5):
        played = last * part // 4
        x = _x(played, last)
        made.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{played:,}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    made.append(f'<text x="{middle:.1f}" y="{HEIGHT - 10}" text-anchor="middle">events played</text>')
    return made


def _vertical(x: float) -> str:
    return f'<line class="end" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'


def _x(played: int, last: int) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * played / last


def _y(value: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value
