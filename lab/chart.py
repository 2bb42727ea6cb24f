"""Line charts as SVG, of a few kilobytes, without any library: panels above each other, with one axis of time."""

from xml.sax.saxutils import escape

WIDTH, PANEL, LEFT, RIGHT, TOP, GAP = 860, 150, 64, 150, 40, 34
COLOURS = ("#1f5fa8", "#c1440e", "#3c7d3c", "#7b4ea3", "#8a6d00")
POINTS = 240  # more would not be seen


def nice(top):
    """The least of 1, 2, 5, 10, 20, ... that is no less."""
    step = 1.0
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


def panel(title, times, lines, y, end):
    """lines: {name: values}."""
    top = nice(max((max(values) for values in lines.values()), default=0) or 1)
    width, out = WIDTH - LEFT - RIGHT, [f'<text x="{LEFT}" y="{y - 8}" class="t">{escape(title)}</text>']
    for part in range(5):
        at = y + PANEL - PANEL * part / 4
        out.append(f'<path class="g" d="M{LEFT} {at:g}h{width}"/>'
                   f'<text x="{LEFT - 6}" y="{at + 4:g}" text-anchor="end">{label(top * part / 4)}</text>')
    for number, (name, values) in enumerate(lines.items()):
        points = " ".join(f"{LEFT + width * time / end:.1f},{y + PANEL - PANEL * value / top:.1f}"
                          for time, value in zip(thinned(times), thinned(values)))
        colour = COLOURS[number % len(COLOURS)]
        out.append(f'<polyline points="{points}" stroke="{colour}"/>'
                   f'<text x="{WIDTH - RIGHT + 10}" y="{y + 14 + 18 * number}" fill="{colour}">{escape(name)}</text>')
    return out


def svg(title, times, panels):
    """times in minutes; panels: [(title, {name: values})]."""
    height, end = TOP + len(panels) * (PANEL + GAP) + 14, max(times[-1], 1e-9)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">',
           "<style>polyline{fill:none;stroke-width:1.3}.g{stroke:#ddd}.t{font-weight:bold}</style>",
           f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>', f'<text x="{LEFT}" y="16" font-size="14">{escape(title)}</text>']
    for number, (name, lines) in enumerate(panels):
        out += panel(name, times, lines, TOP + 8 + number * (PANEL + GAP), end)
    for part in range(7):
        out.append(f'<text x="{LEFT + (WIDTH - LEFT - RIGHT) * part / 6:.0f}" y="{height - 12}" text-anchor="middle">'
                   f"{label(round(end * part / 6, 1))}</text>")
    out.append(f'<text x="{WIDTH - RIGHT + 10}" y="{height - 12}">minutes</text></svg>')
    return "\n".join(out) + "\n"
