"""A picture of a run: a row for each service and broker with what was done to it, below it how many workflows ended."""

from __future__ import annotations

from collections import Counter
from html import escape

from tests.chaos.deck import BROKERS, MEMBERS, NAMES

WIDTH, LEFT, RIGHT = 1_200, 130, 20
ROW, BAR, CHART, TOP = 26, 16, 110, 40
COLOURS = {
    "killed": "#b2182b", "stopped": "#e08214", "restarted": "#4393c3", "cut": "#542788", "swallowed": "#7f7f7f",
    "slow": "#c9a227",
}  # fmt: skip
RECOVERY = "#dddddd"
NEVER = "#000000"
TICKS = 10


def picture(story):
    """SVG, by itself: no script, no font, nothing fetched."""
    rows = [*MEMBERS, *BROKERS]
    end = max(story.lasted_s, 1.0)
    height = TOP + ROW * len(rows) + CHART + 50

    def x(seconds):
        return LEFT + (WIDTH - LEFT - RIGHT) * min(seconds, end) / end

    shapes = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        *_legend(),
    ]
    for number, row in enumerate(rows):
        y = TOP + ROW * number
        shapes.append(f'<text x="8" y="{y + BAR - 3}">{NAMES.get(row, row)}</text>')
        shapes.append(f'<line x1="{LEFT}" y1="{y + BAR}" x2="{WIDTH - RIGHT}" y2="{y + BAR}" stroke="#eeeeee"/>')
        for done in story.done:
            shapes += [
                each for trouble in done.step.troubles if trouble.subject == row for each in _bars(done, trouble, x, y)
            ]
    shapes += [*_chart(story, x, TOP + ROW * len(rows) + 20, end), "</svg>"]
    return "\n".join(shapes) + "\n"


def _bars(done, trouble, x, y):
    """What was done, and behind it how long it took until all was served."""
    title = f"<title>{escape(str(trouble))}</title>"
    began, healed = x(done.began_s), x(done.healed_s)
    again = x(done.healed_s + (done.recovery_s or 0.0))
    colour = RECOVERY if done.recovery_s is not None else NEVER
    yield f'<rect x="{healed:.1f}" y="{y}" width="{max(1.0, again - healed):.1f}" height="{BAR}" fill="{colour}"/>'
    yield (
        f'<rect x="{began:.1f}" y="{y}" width="{max(3.0, healed - began):.1f}" height="{BAR}" '
        f'fill="{COLOURS[trouble.what]}">{title}</rect>'
    )


def _legend():
    x = LEFT
    for what, colour in {**COLOURS, "until served again": RECOVERY}.items():
        yield f'<rect x="{x}" y="10" width="12" height="12" fill="{colour}"/><text x="{x + 16}" y="20">{what}</text>'
        x += 32 + 7 * len(what)


def _chart(story, x, y, end):
    """Workflows that ended, by second."""
    ended = Counter(int(each) for each in story.ends_s)
    most = max(ended.values(), default=1)
    yield f'<text x="8" y="{y + 12}">ended per second</text><text x="{LEFT - 30}" y="{y + 26}">{most}</text>'
    for second, count in sorted(ended.items()):
        tall = CHART * count / most
        left, right = x(second), x(second + 1)
        yield (
            f'<rect x="{left:.1f}" y="{y + CHART - tall:.1f}" width="{max(0.5, right - left):.1f}" height="{tall:.1f}" '
            'fill="#5aae61"/>'
        )
    yield f'<line x1="{LEFT}" y1="{y + CHART}" x2="{WIDTH - RIGHT}" y2="{y + CHART}" stroke="#000000"/>'
    for tick in range(TICKS + 1):
        seconds = end * tick / TICKS
        yield f'<text x="{x(seconds):.1f}" y="{y + CHART + 16}" text-anchor="middle">{seconds:.0f} s</text>'
