"""An SVG of recall and false alarms over the threshold, one small panel a label."""

WIDTH, HEIGHT, LEFT, TOP, COLUMNS = 190, 120, 44, 34, 4
MOST_ALARMS = 200.0


def path(points, style):
    return f'<polyline fill="none" {style} points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>' if points else ""


def panel(name, valid, test, threshold, x, y):
    across = lambda t: x + t * WIDTH
    recall = lambda r: y + (1 - r) * HEIGHT
    alarms = lambda a: y + (1 - min(a, MOST_ALARMS) / MOST_ALARMS) * HEIGHT
    line = f'<line x1="{across(threshold):.1f}" x2="{across(threshold):.1f}" y1="{y}" y2="{y + HEIGHT}" stroke="#888" stroke-dasharray="2 2"/>'
    parts = [f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#bbb"/>',
             f'<text x="{x}" y="{y - 6}">{name}, threshold {threshold}</text>', line]
    for curve, dash in ((valid, 'stroke-dasharray="4 3"'), (test, "")):
        parts.append(path([(across(t), recall(r)) for t, r, _ in curve if r is not None], f'stroke="#1f5fa8" {dash}'))
        parts.append(path([(across(t), alarms(a)) for t, _, a in curve], f'stroke="#b5452c" {dash}'))
    parts += [f'<text x="{x - 4}" y="{recall(r) + 3}" text-anchor="end" fill="#1f5fa8">{r}</text>' for r in (0, 0.5, 1)]
    parts += [f'<text x="{x + WIDTH + 3}" y="{alarms(a) + 3}" fill="#b5452c">{a:.0f}</text>' for a in (0, 100, 200)]
    parts += [f'<text x="{across(t)}" y="{y + HEIGHT + 12}" text-anchor="middle">{t}</text>' for t in (0, 0.5, 1)]
    return "\n".join(p for p in parts if p)


def draw(curves):
    """`curves`: {label: (validation, test, threshold)}, each curve [(threshold, recall or None, false alarms an hour)]."""
    rows = -(-len(curves) // COLUMNS)
    wide, high = COLUMNS * (WIDTH + 80) + 10, rows * (HEIGHT + 60) + 40
    body = [panel(name, *three, LEFT + i % COLUMNS * (WIDTH + 80), TOP + 20 + i // COLUMNS * (HEIGHT + 60))
            for i, (name, three) in enumerate(curves.items())]
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" font-family="sans-serif" font-size="10">\n'
            f'<rect width="{wide}" height="{high}" fill="white"/>\n<text x="{LEFT}" y="18" font-size="12">'
            "Over the threshold: recall of clips (blue, left axis) and false alarms an hour of other clips (red, right axis); "
            "solid: test, dashed: validation</text>\n")
    return head + "\n".join(body) + "\n</svg>\n"
