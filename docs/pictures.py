#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Draws the pictures of the debugging tools.

    docs/pictures.py trace TRACE.json OUT.svg       the steps, tasks, arrows and curves of a trace, as Perfetto shows them
    docs/pictures.py flames STACKS.folded OUT.svg   folded stacks as a flame graph; also from standard input, as -

TRACE.json is what debug::trace writes; STACKS.folded is what a profiler or `asynchio_ps.py waits` writes. Needs matplotlib.
"""

import json
import sys

INK, GRID = "#444444", "#cccccc"
COLOURS = ["#4e79a7", "#f28e2b", "#59a14f", "#b07aa1", "#76b7b2", "#edc948", "#ff9da7", "#9c755f"]


def figure(width, height, rows, ratios):
    try:
        import matplotlib
    except ImportError:
        sys.exit("pictures.py: matplotlib is missing: apt-get install python3-matplotlib")
    matplotlib.use("svg")
    import matplotlib.pyplot as plot
    matplotlib.rcParams.update({"svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9, "svg.hashsalt": "asynchio",
                                "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
                                "axes.edgecolor": GRID})
    made, axes = plot.subplots(rows, 1, figsize=(width, height), sharex=True, squeeze=False,
                               gridspec_kw={"height_ratios": ratios, "hspace": 0.08})
    made.patch.set_facecolor("white")
    for each in axes[:, 0]:
        for side in ("top", "right"):
            each.spines[side].set_visible(False)
    return made, axes[:, 0]


def save(made, path):
    made.savefig(path, bbox_inches="tight", metadata={"Date": None})


def short(name):
    return name.split("::")[-1] if not name.endswith(">") else name


def draw_trace(events, path):
    steps = [e for e in events if e["ph"] == "X"]
    if not steps:
        sys.exit("pictures.py: the trace has no steps")
    begin = min(e["ts"] for e in steps)
    names = list(dict.fromkeys(short(e["name"]) for e in steps))
    colour = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}
    lives = {}
    for each in events:
        if each["ph"] == "b":
            lives[each["id"]] = [each["name"], each["ts"] - begin, None]
        elif each["ph"] == "e" and each["id"] in lives:
            lives[each["id"]][2] = each["ts"] - begin
    end = max(e["ts"] + e["dur"] for e in steps) - begin
    made, (loop, tasks, curve) = figure(10, 1.9 + 0.22 * len(lives), 3, [1, max(0.25 * len(lives), 1), 1])

    for each in steps:
        loop.broken_barh([(each["ts"] - begin, max(each["dur"], end / 2000))], (0, 1), color=colour[short(each["name"])])
    loop.set_yticks([0.5], ["loop"])
    loop.legend([loop.broken_barh([(0, 0)], (0, 1), color=colour[name]) for name in names], names, ncol=len(names),
                loc="lower left", bbox_to_anchor=(0, 1), frameon=False)
    places = {}
    for row, (task, (name, first, last)) in enumerate(lives.items()):
        places[name.split("(")[-1].rstrip(")")] = row
        tasks.broken_barh([(first, (end if last is None else last) - first)], (row + 0.3, 0.4), color="#e8e8e8")
    for each in steps:
        row = places.get(each.get("args", {}).get("task"))
        if row is not None:
            tasks.broken_barh([(each["ts"] - begin, max(each["dur"], end / 2000))], (row + 0.15, 0.7),
                              color=colour[short(each["name"])])
    slices = sorted((e["ts"] - begin, e["ts"] + e["dur"] - begin, places.get(e.get("args", {}).get("task"))) for e in steps)

    def row_at(time):
        return next((row for first, last, row in reversed(slices) if first <= time <= last + 0.002), None)

    starts = {e["id"]: e["ts"] - begin for e in events if e["ph"] == "s"}
    for each in events:
        if each["ph"] == "f" and each["id"] in starts:
            one, other = row_at(starts[each["id"]]), row_at(each["ts"] - begin)
            if one is not None and other is not None and one != other:
                tasks.annotate("", (each["ts"] - begin, other + 0.5), (starts[each["id"]], one + 0.5),
                               arrowprops={"arrowstyle": "->", "color": "#999999", "linewidth": 0.6})
    tasks.set_yticks([row + 0.5 for row in range(len(lives))], [life[0] for life in lives.values()])
    tasks.invert_yaxis()
    for name, line in (("ready", "-"), ("tasks", "--")):
        points = [(e["ts"] - begin, e["args"][name]) for e in events if e["ph"] == "C" and e["name"] == name]
        if points:
            curve.step(*zip(*points, (end, points[-1][1])), where="post", color=INK, linestyle=line, label=name, linewidth=1)
    curve.legend(loc="upper right", ncol=2, frameon=False)
    curve.set_xlabel("microseconds")
    curve.set_ylim(0, 1.6 * curve.get_ylim()[1])  # room for the legend
    curve.set_xlim(0, end)
    save(made, path)


def draw_flames(lines, path):
    root = {}
    for line in lines:
        stack, _, count = line.rstrip("\n").rpartition(" ")
        if not stack or not count.isdigit():
            sys.exit(f"pictures.py: no folded stack: {line.rstrip()}")
        here = root
        for name in stack.split(";"):
            here = here.setdefault(name, [0, {}])
            here[0] += int(count)
            here = here[1]
    total = sum(count for count, _ in root.values())
    if total == 0:
        sys.exit("pictures.py: there are no samples")

    def depth(level):
        return max((1 + depth(below) for _, below in level.values()), default=0)

    made, (axes,) = figure(10, 0.6 + 0.3 * depth(root), 1, [1])
    drawn = 0

    def draw(level, left, row):
        nonlocal drawn
        for name, (count, below) in sorted(level.items(), key=lambda item: -item[1][0]):
            axes.barh(row, count / total, left=left, height=0.94, color=COLOURS[drawn % len(COLOURS)], alpha=0.75,
                      edgecolor="white")
            drawn += 1
            room = int(count / total * 130)
            if room > 3:
                axes.text(left + 0.004, row, name if len(name) <= room else name[:room - 1] + "…", va="center")
            draw(below, left, row + 1)
            left += count / total

    draw(root, 0.0, 0)
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    save(made, path)


def main(arguments):
    if len(arguments) != 3 or arguments[0] not in ("trace", "flames"):
        sys.exit(__doc__)
    kind, source, path = arguments
    try:
        with (sys.stdin if source == "-" else open(source, encoding="utf-8")) as file:
            draw_trace(json.load(file), path) if kind == "trace" else draw_flames(list(file), path)
    except OSError as error:
        sys.exit(f"pictures.py: {error.filename}: {error.strerror}")
    except json.JSONDecodeError as error:
        sys.exit(f"pictures.py: {source} is no JSON: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
