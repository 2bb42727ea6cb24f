"""Charts as SVG, of a few kilobytes, without any library: panels of lines above each other, with one axis, and bars."""

import math
from xml.sax.saxutils import escape

WIDTH, PANEL, LEFT, RIGHT, TOP, GAP = 860, 150, 64, 150, 40, 34
COLOURS = ("#1f5fa8", "#c1440e", "#3c7d3c", "#7b4ea3", "#8a6d00")
POINTS = 240  # more would not be seen


def nice(top):
    """The least of 1, 2, 5, 10, 20, ... that is no less; of 0.01, 0.02, ... below 1."""
    step = min(1.0, 10.0 ** math.floor(math.log10(top)))
    while True:
        for factor in (1, 2, 5):
            if factor * step >= top:
                return factor * step
        step *= 10


def label(value):
    return f"{value:g}"


def thinned(values):
    step = max(1, len(values) // POINTS)
    return values[::step]


def panel(title, lines, y, place):
    """lines: {name: [(x, value)]}; place: from x to a part of the width."""
    top = nice(max((value for points in lines.values() for _, value in points), default=0) or 1)
    width, out = WIDTH - LEFT - RIGHT, [f'<text x="{LEFT}" y="{y - 8}" class="t">{escape(title)}</text>']
    for part in range(5):
        at = y + PANEL - PANEL * part / 4
        out.append(f'<path class="g" d="M{LEFT} {at:g}h{width}"/>'
                   f'<text x="{LEFT - 6}" y="{at + 4:g}" text-anchor="end">{label(top * part / 4)}</text>')
    for number, (name, line) in enumerate(lines.items()):
        points = " ".join(f"{LEFT + width * place(x):.1f},{y + PANEL - PANEL * value / top:.1f}" for x, value in thinned(line))
        colour = COLOURS[number % len(COLOURS)]
        out.append(f'<polyline points="{points}" stroke="{colour}"/>'
                   f'<text x="{WIDTH - RIGHT + 10}" y="{y + 14 + 18 * number}" fill="{colour}">{escape(name)}</text>')
    return out


def page(title, height, parts):
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">',
        "<style>polyline{fill:none;stroke-width:1.3}.g{stroke:#ddd}.t{font-weight:bold}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="{LEFT}" y="16" font-size="14">{escape(title)}</text>', *parts, "</svg>"]) + "\n"


def stacked(title, panels, place, marks, axis):
    """panels: [(title, {name: [(x, value)]})]; marks: {part of the width: text}; axis: the name of what x is."""
    height, parts = TOP + len(panels) * (PANEL + GAP) + 14, []
    for number, (name, lines) in enumerate(panels):
        parts += panel(name, lines, TOP + 8 + number * (PANEL + GAP), place)
    for part, text in marks.items():
        parts.append(f'<text x="{LEFT + (WIDTH - LEFT - RIGHT) * part:.0f}" y="{height - 12}" text-anchor="middle">{text}</text>')
    parts.append(f'<text x="{WIDTH - RIGHT + 22}" y="{height - 12}">{escape(axis)}</text>')
    return page(title, height, parts)


def svg(title, times, panels):
    """times in minutes; panels: [(title, {name: values})]."""
    end = max(times[-1], 1e-9)
    joined = [(name, {line: list(zip(times, values)) for line, values in lines.items()}) for name, lines in panels]
    return stacked(title, joined, lambda time: time / end, {n / 6: label(round(end * n / 6, 1)) for n in range(7)}, "minutes")


def growth(title, axis, panels):
    """panels: [(title, {name: [(x, value)]})], x by powers of ten; axis: the name of what grows."""
    sizes = [x for _, lines in panels for line in lines.values() for x, _ in line]
    low, high = math.floor(math.log10(min(sizes))), math.ceil(math.log10(max(sizes)))
    span = max(high - low, 1)
    marks = {n / span: f"{10 ** (low + n):,}" for n in range(span + 1)}
    return stacked(title, panels, lambda x: (math.log10(x) - low) / span, marks, axis)


def bars(title, unit, groups):
    """groups: [(title, {name: value})], each with a scale of its own; the first bar of each is what it is about."""
    y, parts = TOP, []
    left, width = LEFT + 80, WIDTH - LEFT - RIGHT - 80
    for group, values in groups:
        parts.append(f'<text x="{LEFT}" y="{y + 4}" class="t">{escape(group)}</text>')
        for number, (name, value) in enumerate(values.items()):
            y += 20
            long = max(width * value / max(values.values()), 1)
            parts.append(f'<text x="{left - 8}" y="{y + 4}" text-anchor="end">{escape(name)}</text>'
                         f'<rect x="{left}" y="{y - 7}" width="{long:.1f}" height="14" fill="{COLOURS[0 if number else 1]}"/>'
                         f'<text x="{left + long + 6:.1f}" y="{y + 4}">{value:,g} {escape(unit)}</text>')
        y += 36
    return page(title, y - 10, parts)
