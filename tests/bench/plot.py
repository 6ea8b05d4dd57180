# SPDX-License-Identifier: GPL-2.0-or-later
"""A report of bench.py as SVG: a panel for each metric, a bar for each
contestant, with the quartiles as a whisker."""

from xml.sax.saxutils import escape

COLUMNS, WIDTH, NAME, VALUE, BAR, GAP = 2, 460, 100, 70, 15, 40
COLOURS = {"plain": "#bbbbbb", "kernel": "#777777", "ceiling": "#8fbbd9",
           "ceiling-pass": "#c3dcec", "xctd": "#d62728",
           "xctd-filter": "#ea8f8f", "suricata": "#bc9c5c", "ovs": "#7fa87f"}


def _text(x, y, words, more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(words)}</text>'


def _panel(result, x, y):
    entries = {name: entry for name, entry in result["contestants"].items()
               if entry["median"] is not None}
    widest = max((entry["q3"] for entry in entries.values()), default=1)
    scale = (WIDTH - NAME - VALUE) / widest
    better = "less" if result["lower_is_better"] else "more"
    yield _text(x, y, f"{result['title']}, {result['unit']} "
                f"({better} is better)", 'font-weight="bold"')
    for row, (name, entry) in enumerate(entries.items()):
        top = y + 8 + row * BAR
        middle, left = top + BAR / 2 - 1, x + NAME
        yield _text(left - 6, middle + 4, name, 'text-anchor="end"')
        yield (f'<rect x="{left}" y="{top}" height="{BAR - 3}" '
               f'width="{entry["median"] * scale:.1f}" '
               f'fill="{COLOURS[name]}"/>')
        yield (f'<path stroke="black" d="M{left + entry["q1"] * scale:.1f} '
               f'{middle}H{left + entry["q3"] * scale:.1f}"/>')
        yield _text(left + entry["q3"] * scale + 6, middle + 4,
                    f"{entry['median']:.4g}")


def svg(report):
    """The picture of @report, as text."""
    machine, commit = report["machine"], report["commit"]
    height = GAP + len(report["contestants"]) * BAR
    rows = -(-len(report["results"]) // COLUMNS)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" '
        f'width="{COLUMNS * WIDTH + 20}" height="{rows * height + 60}" '
        'font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
        _text(10, 20, f"xct {commit['id'][:12]}"
              f"{' and changes' if commit['changed'] else ''}: "
              f"{machine['cpu']}, {machine['cores']} cores, Linux "
              f"{machine['kernel']}, {report['date'][:10]}; medians and "
              f"quartiles of {report['rounds']} rounds")]
    for number, result in enumerate(report["results"].values()):
        lines += _panel(result, 10 + number % COLUMNS * WIDTH,
                        50 + number // COLUMNS * height)
    return "\n".join([*lines, "</svg>", ""])
