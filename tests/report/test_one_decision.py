"""One decision of a policy is changed, and the report changes with it; the same decisions give the same report."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine_adapter.virtual.simulate import SimResult, simulate
from engine_adapter.workload.record import Recording
from lamps_cli.report.difference import difference
from lamps_cli.report.page import Ran, Report, html
from tests.virtual.small import profile, simulation

pytestmark = pytest.mark.slow

POLICY = """lamps 1
policy mine "what is done with the KV of each tool's calls"
rank request.arrival
on call match call.tool {
  "search": preserve
  "python": preserve
  _: discard
}
"""


def ran(folder: Path, text: str) -> SimResult:
    (folder / "mine.lamps").write_text(text)
    found = simulate(simulation(str(folder / "mine.lamps"), profile=profile(kv_tokens=4000), recording=Recording()))
    assert found.ended == "finished"
    return found


def page(found: SimResult, against: SimResult) -> str:
    assert found.record is not None and against.record is not None
    changed = difference(
        ("before", "mine"), None, 0, (against.result.sessions, against.record), (found.result.sessions, found.record)
    )
    runs = [Ran("mine", None, 0, found.result, found.timeline)]
    return html(Report("mine", {None: "at 4/s"}, runs, [], differences=[changed]))


def row(text: str, title: str) -> str:
    found = re.search(rf'<th scope="row">{title}</th><td>([^<]*)</td>', text)
    return found[1] if found else ""


def test_the_report_follows_one_decision(tmp_path: Path) -> None:
    kept, again = ran(tmp_path, POLICY), ran(tmp_path, POLICY)
    dropped = ran(tmp_path, POLICY.replace('"search": preserve', '"search": discard'))
    before, after = page(kept, kept), page(dropped, kept)
    assert page(again, kept) == before
    # The counts, the metrics, the drawing of the memory, and where the two part.
    assert (row(before, "calls: KV discarded"), row(before, "calls: KV preserved")) == ("40", "60")
    assert (row(after, "calls: KV discarded"), row(after, "calls: KV preserved")) == ("60", "40")
    computed_again = [float(row(text, "computed again, tokens").replace(",", "")) for text in (before, after)]
    assert computed_again[1] > computed_again[0]
    preserved = [re.search(r"preserved ([\d,]+)", text)[1] for text in (before, after)]  # type: ignore[index]
    assert int(preserved[1].replace(",", "")) < int(preserved[0].replace(",", ""))
    assert "they never decide differently" in before
    assert re.search(
        r"they part at [\d.]+ s: before preserves the KV of \S+ during its call of search; mine discards it", after
    )
    assert re.search(r'<th scope="row">preserve</th><td>discard</td><td>20</td>', after)
