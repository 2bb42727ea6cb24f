"""What bench/run ends with: tables of ratios and goals on the terminal, and tables and charts in docs/performance.md.

In the page a case's tables stand between "<!-- case NAME -->" and "<!-- end -->", the summary of all goals between
"<!-- goals -->" and "<!-- end -->", and what was measured on between "<!-- conditions -->" and "<!-- end -->".
Everything else there is written by hand.
"""

import os
import re
import subprocess
import time

PAGE = os.path.join("docs", "performance.md")
WIDE = 4  # columns of figures
FIRST = ("poolbridge",)  # columns that come first; the others in the order in which they were measured
VERSIONS = {"Prosody": "prosody", "ejabberd": "ejabberd", "jabberd2": "jabberd2", "Kamailio": "kamailio",
            "OpenSSL": "openssl", "expat": "libexpat1"}


def table(header, rows):
    return "\n".join(["| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *rows]])


def number(value):
    return f"{value:,}" if isinstance(value, int) else f"{value:,.15g}"


def cell(figure):
    """With the range of the runs, and what it is as a multiple of the limit where that was measured, too."""
    if figure is None:
        return "-"
    text = number(figure.value)
    if figure.low != figure.high:
        text += f" ({number(figure.low)} to {number(figure.high)})"
    return text + (f" = {figure.more['limits']:.3g} x" if "limits" in figure.more else "")


def ratio_text(value):
    return "-" if value is None else f"{value:.3g} times" if value >= 1 else f"1/{1 / value:.3g}"


# --- tables of a case

def figure_tables(session, case):
    """Benches that were measured with the same subjects share a table."""
    benches = {}
    for (bench, subject), figure in session.figures.items():
        if figure.case == case:
            benches.setdefault(bench, {})[subject] = figure
    groups = {}
    for bench, figures in benches.items():
        groups.setdefault(frozenset(figures), []).append(bench)
    return [_figure_table(benches, group) for group in groups.values()]


def _figure_table(benches, group):
    """A row a bench and a column a subject; the other way round where that would be too wide."""
    subjects = sorted(benches[group[0]], key=lambda subject: subject not in FIRST)
    if len(subjects) > WIDE:
        return "\n\n".join(_subject_table(benches, group[i:i + WIDE], subjects) for i in range(0, len(group), WIDE))
    return table(["bench", "unit", *subjects],
                 [[f"`{bench}`", _unit(benches[bench])] + [cell(benches[bench][s]) for s in subjects] for bench in group])


def _subject_table(benches, group, subjects):
    rows = [["", *(_unit(benches[bench]) for bench in group)]]
    rows += [[subject, *(cell(benches[bench][subject]) for bench in group)] for subject in subjects]
    return table(["subject", *(f"`{bench}`" for bench in group)], rows)


def _unit(figures):
    one = next(iter(figures.values()))
    return f"{one.unit} per {one.per}"


def goal_row(goal):
    bound = ratio_text(goal.bound) if goal.is_ratio else number(goal.bound)
    value = ratio_text(goal.value) if goal.is_ratio else "-" if goal.value is None else number(goal.value)
    return [goal.text, f"at {'most' if goal.is_upper else 'least'} {bound}", value, goal.verdict()]


def goal_table(goals):
    return table(["figure", "goal", "measured", ""], [goal_row(goal) for goal in goals])


def case_text(session, case):
    goals = [goal for goal in session.goals if goal.case == case]
    notes = [f"Note: {text}." for of, text in session.notes if of == case]
    return "\n\n".join(figure_tables(session, case) + ([goal_table(goals)] if goals else []) + notes)


# --- the page

def conditions(session):
    with open(os.path.join(session.build, "Makefile"), encoding="utf-8") as lines:
        flags = next((line.partition("=")[2].strip() for line in lines if line.startswith("CFLAGS =")), "")
    found = {name: installed(package) for name, package in VERSIONS.items()}
    peers = ", ".join(f"{name} {version}" for name, version in found.items() if version)
    return (f"Measured on {time.strftime('%Y-%m-%d')} on a machine of {os.cpu_count()} cores, which the subjects, the "
            f"generators and the sinks shared; poolbridge built with `{flags}`; median (lowest to highest) of "
            f"{session.runs} runs. Beside it: {peers}. {faults_text(session)}")


def faults_text(session):
    if not session.faulty:
        return "Of all messages none was lost, doubled, out of order or answered with an error."
    return "What went wrong: " + "; ".join(fault_text(*fault) for fault in session.faulty) + "."


def fault_text(bench, subject, counts):
    return f"{bench}, {subject}: " + ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)


def installed(package):
    """The version as its authors count it; None: not there."""
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True, check=False)
    return re.sub(r"^\d+:|[-+~].*$", "", done.stdout) if done.returncode == 0 else None


def put(page, marker, text):
    """Between its markers; a page without them is left as it is."""
    pattern = re.compile(rf"(<!-- {re.escape(marker)} -->\n).*?(<!-- end -->)", re.DOTALL)
    return pattern.sub(lambda match: f"{match[1]}\n{text}\n\n{match[2]}", page)


def write(session, top, cases, is_whole):
    """is_whole: all cases were run, so the summary is written, too."""
    path = os.path.join(top, PAGE)
    with open(path, encoding="utf-8") as file:
        page = file.read()
    for case in cases:
        page = put(page, f"case {case}", case_text(session, case))
    if is_whole:
        page = put(page, "conditions", conditions(session))
        page = put(page, "goals", goal_table(session.goals))
    with open(path, "w", encoding="utf-8") as file:
        file.write(page)
    for name, text in session.charts.items():
        with open(os.path.join(top, "docs", f"performance-{name}.svg"), "w", encoding="utf-8") as file:
            file.write(text)


# --- the terminal

def columns(rows):
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in rows]


def ratio_rows(session):
    """What was measured of a peer, or of the limit, too: poolbridge's figure as a part of theirs."""
    rows = []
    for (bench, subject), theirs in session.figures.items():
        ours = session.figures.get((bench, "poolbridge"))
        if ours and subject != "poolbridge" and theirs.value:
            rows.append([bench, f"poolbridge / {subject}", ratio_text(ours.value / theirs.value),
                         f"{number(ours.value)} / {number(theirs.value)} {_unit({subject: theirs})}"])
    return rows


def closing(session):
    """Ratios, goals, each in columns, then what went wrong."""
    lines = [line for rows in (ratio_rows(session), [goal_row(goal) for goal in session.goals]) if rows
             for line in columns(rows) + [""]]
    met = sum(goal.is_met() for goal in session.goals)
    lines.append(f"{met} of {len(session.goals)} goals met")
    lines += [f"FAULTS {fault_text(*fault)}" for fault in session.faulty]
    return "\n".join(lines)
