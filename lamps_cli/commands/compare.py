"""`lamps compare A B`: two files of runs, a verdict per metric that takes noise into account, a status fit for CI."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from lamps_cli.errors import Failure
from lamps_cli.exit_codes import ExitCode
from lamps_cli.output import write, write_json

if TYPE_CHECKING:
    from lamps_cli.measuring.matched import Matched
    from lamps_cli.measuring.verdict import Verdict

_WORST_FIRST = ("worse", "unclear", "better", "same")


@click.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option(
    "--least",
    type=click.FloatRange(0, 1),
    default=0.02,
    show_default=True,
    help="The smallest change that matters, as a share.",
)
@click.option(
    "--confidence",
    type=click.FloatRange(0.5, 0.9999),
    default=0.95,
    show_default=True,
    help="That nothing is called different by chance, all metrics together.",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME",
    help="Judge this, as ttft_turn_s.p99; several times.  [default: four]",
)
@click.option("--anyway", is_flag=True, help="Also across machines, and runs beside which the machine did other work.")
@click.option("--json", "as_json", is_flag=True, help="Print verdicts and reasons as JSON.")
def compare(
    first: str, second: str, least: float, confidence: float, metrics: tuple[str, ...], anyway: bool, as_json: bool
) -> None:
    """Say whether B is worse than A: files of `lamps bench`, or FILE:SYSTEM for one system of a file.

    Runs of one seed have the same arrivals and token ids, so they are compared pair by pair, by a t test of the
    logarithms of their ratios, with Holm's correction for the number of metrics. Judged are the mean and p99 of
    sessions without their tools' time, the mean time to a turn's first token, and tokens a second.

    \b
    worse, better  a change of at least --least, beyond chance
    same           a change of --least is ruled out, at 95 %
    unclear        neither: more seeds would tell

    Exit status: 0 nothing is worse, 1 something is, 2 something can't be compared (the reason is told) or wrong use.
    """
    from lamps_cli.measuring.matched import matched, side
    from lamps_cli.measuring.runs_file import Unreadable
    from lamps_cli.measuring.verdict import JUDGED, Rules, failures, judged
    from lamps_cli.metrics import rows

    known = [name for name, _ in rows()]
    unknown = [name for name in metrics if name not in known]
    if unknown:
        raise Failure(f"no metric is named {', '.join(unknown)}", f"there are {', '.join(known)}")
    try:
        found = matched(side(first), side(second), anyway)
    except (Unreadable, LookupError) as problem:
        raise Failure(str(problem.args[0])) from None
    rules = Rules(confidence, least, metrics or JUDGED)
    verdicts, lost = judged(found.sides, rules), failures(found.sides, least)
    told = {(verdict.where, verdict.metric) for verdict in verdicts}
    found.reasons += [
        f"{pair.where}: {metric} is unknown or 0 in some run"
        for pair in found.sides
        for metric in rules.metrics
        if (pair.where, metric) not in told
    ]
    worse = bool(lost) or any(verdict.call == "worse" for verdict in verdicts)
    if as_json:
        write_json(_document(found, verdicts, lost))
    else:
        write(_text(found, verdicts, lost, least))
    code = ExitCode.FINDINGS if worse else ExitCode.USAGE if found.reasons else ExitCode.OK
    raise click.exceptions.Exit(code)


def _document(found: Matched, verdicts: list[Verdict], lost: list[str]) -> dict[str, Any]:
    return {
        "first": found.heads[0],
        "second": found.heads[1],
        "verdicts": [asdict(verdict) for verdict in verdicts],
        "lost_sessions": lost,
        "not_compared": found.reasons,
        "notes": found.notes,
    }


def _text(found: Matched, verdicts: list[Verdict], lost: list[str], least: float) -> str:
    from lamps_cli.metrics import cell, rows

    titles = dict(rows())
    lines = [f"A  {found.heads[0]}", f"B  {found.heads[1]}"]
    for where in dict.fromkeys(verdict.where for verdict in verdicts):
        here = [verdict for verdict in verdicts if verdict.where == where]
        lines += ["", f"{where}, {here[0].pairs} pairs", f"  {'':<28}{'A':>16}{'B':>16}{'B / A':>24}  verdict"]
        for one in here:
            between = f"x{one.ratio:.3f} ({one.ratio / one.spread:.3f} to {one.ratio * one.spread:.3f})"
            title = titles[one.metric].strip()
            lines.append(f"  {title:<28}{cell(one.first):>16}{cell(one.second):>16}{between:>24}  {one.call}")
    lines += ["", *(f"sessions lost, {sentence}" for sentence in lost)] if lost else []
    lines += ["", *(f"note: {note}" for note in found.notes)] if found.notes else []
    lines += ["", *(f"not compared: {reason}" for reason in found.reasons)] if found.reasons else []
    return "\n".join([*lines, "", _conclusion(verdicts, lost, bool(found.reasons), least)])


def _conclusion(verdicts: list[Verdict], lost: list[str], incomplete: bool, least: float) -> str:
    counts = {call: sum(verdict.call == call for verdict in verdicts) for call in _WORST_FIRST}
    told = ", ".join(f"{count} {call}" for call, count in counts.items() if count)
    if counts["worse"] or lost:
        return f"WORSE: {told}" + (", sessions lost" if lost else "")
    if incomplete:
        return "CAN'T BE COMPARED" + (f" in all: {told}" if told else "")
    widest = max(verdict.spread for verdict in verdicts) - 1
    seen = f"; a change of {widest:.1%} would have been seen in each" if widest > least and counts["unclear"] else ""
    return f"NO WORSE: {told}{seen}"
