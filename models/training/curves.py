"""What a threshold costs, as an SVG: what is found and what is false over the threshold, one small panel a label."""

WIDTH, HEIGHT, LEFT, TOP, COLUMNS = 190, 120, 44, 34, 4
FOUND, FALSE = "#1f5fa8", "#b5452c"


def path(points, style):
    return f'<polyline fill="none" {style} points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>' if points else ""


def panel(name, curves, threshold, most, x, y):
    across = lambda t: x + t * WIDTH
    found = lambda r: y + (1 - r) * HEIGHT
    false = lambda a: y + (1 - min(a, most) / most) * HEIGHT
    parts = [f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#bbb"/>',
             f'<text x="{x}" y="{y - 6}">{name}, threshold {threshold}</text>',
             f'<line x1="{across(threshold):.1f}" x2="{across(threshold):.1f}" y1="{y}" y2="{y + HEIGHT}" stroke="#888" '
             'stroke-dasharray="2 2"/>']
    for curve, dashed in zip(curves, (True, False) if len(curves) > 1 else (False,)):
        dash = 'stroke-dasharray="4 3"' if dashed else ""
        parts.append(path([(across(t), found(r)) for t, r, _ in curve if r is not None], f'stroke="{FOUND}" {dash}'))
        parts.append(path([(across(t), false(a)) for t, _, a in curve], f'stroke="{FALSE}" {dash}'))
    parts += [f'<text x="{x - 4}" y="{found(r) + 3}" text-anchor="end" fill="{FOUND}">{r}</text>' for r in (0, 0.5, 1)]
    parts += [f'<text x="{x + WIDTH + 3}" y="{false(a) + 3}" fill="{FALSE}">{a:g}</text>' for a in (0, most / 2, most)]
    parts += [f'<text x="{across(t)}" y="{y + HEIGHT + 12}" text-anchor="middle">{t}</text>' for t in (0, 0.5, 1)]
    return "\n".join(p for p in parts if p)


def draw(found, false, most, panels, which="solid: test, dashed: validation"):
    """`found`, `false`: what the left and the right axis count; the right one ends at `most`.

    `panels`: {label: (curves, threshold)}; a curve is [(threshold, share found or None, false)], the dashed one first
    where there are two, which `which` explains.
    """
    rows, columns = -(-len(panels) // COLUMNS), min(COLUMNS, max(len(panels), 2))
    wide, high = columns * (WIDTH + 80) + 10, rows * (HEIGHT + 60) + 54
    body = [panel(name, *both, most, LEFT + i % COLUMNS * (WIDTH + 80), TOP + 34 + i // COLUMNS * (HEIGHT + 60))
            for i, (name, both) in enumerate(panels.items())]
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" font-family="sans-serif" font-size="10">\n'
            f'<rect width="{wide}" height="{high}" fill="white"/>\n<text x="{LEFT}" y="18" font-size="12">'
            f'Over the threshold: <tspan fill="{FOUND}">{found} (left)</tspan>, <tspan fill="{FALSE}">{false} (right)</tspan></text>\n'
            f'<text x="{LEFT}" y="34">{which}</text>\n')
    return head + "\n".join(body) + "\n</svg>\n"
