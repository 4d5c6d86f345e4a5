"""Policies built on others: what is inherited, replaced, dropped and included, and what of it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from policy_dsl import ir, loading
from policy_dsl.compiled import compile_policy
from policy_dsl.diagnostics import codes
from policy_dsl.interpret import evaluate
from policy_dsl.lint.run import lint
from policy_dsl.loading import Loaded, load, load_text
from policy_dsl.testing import run_tests

BASE = """lamps 1
policy base "base"
param wait = 10s in 1s..60s
let factor = 2
let size = request.context * factor
let twice(x) = x * factor
hint critical = 0 in 0..1
rank twice(size), request.arrival
on call preserve for wait
promote when request.waited >= wait
class fast when hint.critical > 0.5 { weight: 2 }
class rest { weight: 1 }
limit pinned <= 50%
limit host <= 50%
budget 5us at 3 requests
test "of the parent" { request r { } expect r.size == 2tok }
"""


@pytest.fixture
def child(tmp_path: Path):
    (tmp_path / "base.lamps").write_text(BASE)

    def make(text: str, name: str = "child") -> Loaded:
        path = tmp_path / f"{name}.lamps"
        path.write_text(f'lamps 1\npolicy {name} "c"\n{text}\n')
        return load(path)

    return make


def policy(loaded: Loaded) -> ir.Policy:
    assert loaded.policy is not None, [d.message for d in loaded.diagnostics]
    return loaded.policy


def rank(loaded: Loaded, **row: float) -> object:
    return evaluate(policy(loaded).rank[0].expr, {k.replace("__", "."): v for k, v in row.items()}, {}, {})


def found(loaded: Loaded) -> list[tuple[str, int]]:
    assert loaded.policy is None
    return [(d.code, d.span.line) for d in loaded.diagnostics]


def test_everything_is_inherited_but_tests_title_and_budget(child) -> None:
    loaded = child("extends base")
    made = policy(loaded)
    assert (made.name, made.title, made.budget, loaded.tests) == ("child", "c", None, ())
    assert [p.name for p in made.params] == ["wait"]
    assert [h.name for h in made.hints] == ["critical"]
    assert [c.name for c in made.classes] == ["fast", "rest"]
    assert {limit.name for limit in made.limits} == {"pinned", "host"}
    assert made.promote is not None
    assert rank(loaded, request__context=3.0) == 12.0


def test_a_statement_replaces_the_parent_s(child) -> None:
    made = policy(
        child("extends base\nrank request.arrival\nlimit host <= 20%\nclass all { weight: 3 }\non call discard")
    )
    assert len(made.rank) == 1 and isinstance(made.rank[0].expr, ir.Read)
    bounds = {limit.name: limit.bound.value for limit in made.limits if isinstance(limit.bound, ir.Const)}
    assert bounds == {"pinned": 0.5, "host": 0.2}
    assert [c.name for c in made.classes] == ["all"]
    assert isinstance(made.on_call, ir.Act) and made.on_call.holds[0].handling.word == "discard"


def test_the_parent_s_rules_read_what_overrides(child) -> None:
    loaded = child("extends base\nlet mine = 3\noverride let factor = mine + 2")
    assert rank(loaded, request__context=1.0) == 25.0
    loaded = child("extends base\noverride let twice(x) = x * 100")
    assert rank(loaded, request__context=1.0) == 200.0


def test_prelude_names_are_overridden_for_all_that_uses_them(child) -> None:
    loaded = child("override let aged(x, wait: duration, theta: duration) = x * 7\nrank aged(2tok, 1s, 1s)")
    assert rank(loaded) == 14.0


def test_params_are_overridden_inside_their_range(child) -> None:
    info = policy(child("extends base\noverride param wait = 5s in 2s..20s   # sooner")).params[0]
    assert (info.default, info.low, info.high, info.doc) == (5.0, 2.0, 20.0, "sooner")
    assert found(child("extends base\noverride param wait = 5s in 0s..20s")) == [(codes.OVERRIDE, 4)]
    assert found(child("extends base\noverride param wait = 5tok in 2tok..20tok")) == [(codes.OVERRIDE, 4)]


@pytest.mark.parametrize(
    "text",
    [
        "let factor = 3",
        "param wait = 5s in 1s..9s",
        "hint critical = 1 in 0..1",
    ],
)
def test_names_are_taken_without_override(child, text: str) -> None:
    assert found(child(f"extends base\n{text}")) == [(codes.REPEATED, 4)]


@pytest.mark.parametrize(
    "text",
    [
        "override let factr = 3",
        "override let wait = 3s",
        "override param factor = 3 in 1..4",
        "override let size = 3s",
        "override let twice(x, y) = x",
        "override let twice = 3",
        "let own = 3 override let own = 4",
    ],
)
def test_overrides_that_fit_nothing(child, text: str) -> None:
    assert [code for code, _ in found(child(f"extends base\n{text}"))] == [codes.OVERRIDE]


def test_a_circle_through_an_override_is_one_finding(child) -> None:
    for text in (
        "override let factor = factor + 1",
        "let a = size / 1tok\noverride let factor = a",
        "override let twice(x) = twice(x)",
        "let a(x) = twice(x)\noverride let twice(x) = a(x)",
    ):
        loaded = child(f"extends base\n{text}")
        assert [d.code for d in loaded.diagnostics] == [codes.ORDER], [d.message for d in loaded.diagnostics]
        assert "circle" in loaded.diagnostics[0].help


def test_drop_removes(child) -> None:
    made = policy(child('extends base\ndrop promote "x"\ndrop limit host "x"\ndrop on call "x"\ndrop rank "x"'))
    assert made.promote is None
    assert [limit.name for limit in made.limits] == ["pinned"]
    assert isinstance(made.on_call, ir.Act) and made.on_call.holds[0].handling.word == "discard"
    assert isinstance(made.rank[0].expr, ir.Read)


@pytest.mark.parametrize(
    "text",
    [
        'extends base drop admit "x"', 'extends base drop limit running "x"', 'drop promote "x"',
        'extends base drop promote " "', 'extends base drop promote "x" promote when true',
        'extends base drop limit host "x" limit host <= 10%',
    ],
)  # fmt: skip
def test_drops_of_nothing(child, text: str) -> None:
    assert [code for code, _ in found(child(text))] == [codes.DROP]


def test_grandparents(child) -> None:
    child("extends base\noverride let factor = 5", "middle")
    assert rank(child("extends middle"), request__context=1.0) == 25.0
    assert rank(child("extends middle\noverride let factor = 1"), request__context=1.0) == 1.0


def test_four_deep_and_no_deeper(child) -> None:
    child("rank request.context", "p0")
    for i in range(1, 6):
        loaded = child(f"extends p{i - 1}", f"p{i}")
        if i <= 4:
            assert rank(loaded, request__context=3.0) == 3.0
    assert [d.code for d in loaded.diagnostics] == [codes.CHAIN]


def test_circles_of_files(child) -> None:
    child("extends b", "a")
    loaded = child("extends a", "b")
    assert [d.code for d in loaded.diagnostics] == [codes.CHAIN]
    assert "`b.lamps` -> `a.lamps` -> `b.lamps`" in loaded.diagnostics[0].help
    assert [d.code for d in child('include "c.lamps"', "c").diagnostics] == [codes.CHAIN]


def test_the_parent_s_mistakes_are_shown_where_they_are(child) -> None:
    child("rank unknown", "broken")
    (problem,) = child("extends broken").diagnostics
    assert (problem.code, Path(problem.span.source.path).name, problem.span.line) == (
        codes.UNKNOWN_NAME, "broken.lamps", 3,
    )  # fmt: skip


def test_includes_bring_lets_and_params(child, tmp_path: Path) -> None:
    (tmp_path / "lib.lamps").write_text("lamps 1\nparam k = 3 in 1..9\nlet triple(x) = x * k\n")
    (tmp_path / "outer.lamps").write_text('lamps 1\ninclude "lib.lamps"\nlet nine = triple(3)\n')
    loaded = child('include "outer.lamps" include "lib.lamps"\nrank triple(nine)')
    assert evaluate(policy(loaded).rank[0].expr, {}, {}, {"k": 3.0}) == 27.0
    assert [Path(s.path).name for s in loaded.sources] == ["outer.lamps", "lib.lamps", "lib.lamps"]
    (tmp_path / "lib.lamps").write_text("lamps 1\nlet triple(x) = x * 3\nrank triple(3)\n")
    assert [code for code, _ in found(child('include "lib.lamps"'))] == [codes.INCLUDED]


@pytest.mark.parametrize(
    "name", ["nothing.lamps", "..", "/", "/etc/shadow/none", "x" * 5000, "", "\x01", "é" * 300, "~/x.lamps"]
)
def test_files_that_can_t_be_read_are_findings(child, name: str) -> None:
    for word in ("include", "extends"):
        loaded = child(f'{word} "{name}"')
        assert loaded.policy is None
        assert loaded.diagnostics[0].code in (codes.NOT_FOUND, codes.STRING, codes.CHARACTER)


def test_binary_parents_and_large_ones(child, tmp_path: Path) -> None:
    (tmp_path / "binary.lamps").write_bytes(b"lamps 1\n\0\xff")
    (tmp_path / "large.lamps").write_bytes(b"#" * 400_000)
    for name in ("binary", "large"):
        assert [d.code for d in child(f"extends {name}").diagnostics] == [codes.UNREADABLE]


def test_a_policy_of_its_own_name_extends_the_shipped_one(tmp_path: Path) -> None:
    path = tmp_path / "lamps.lamps"
    path.write_text('lamps 1\npolicy mine "m"\nextends lamps\nrank request.arrival\n')
    assert isinstance(policy(load(path)).on_call, ir.Pick)


def test_texts_without_a_file_build_on_shipped_policies() -> None:
    loaded = load_text('lamps 1\npolicy mine "m"\nextends fcfs\n')
    assert policy(loaded).name == "mine"


# --- the flat text


def test_the_flat_text_is_a_policy_that_means_the_same(child, tmp_path: Path) -> None:
    loaded = child(
        "extends base\nlet mine = 3\nlet other = mine + 1\noverride let factor = other\n"
        "override param wait = 5s in 2s..20s\n"
        "override let decode_area(from: tokens, n: tokens) = decode_time(n) * from\n"
        'drop limit host "x"\ntest "not part of it" { request r { } expect r.size == 4tok }'
    )
    made = policy(loaded)
    assert all(r.passed for r in run_tests(loaded))
    again = load_text("lamps 1\n" + "\n".join(s.text for s in loaded.flat))
    copy = policy(again)
    assert rank(again, request__context=1.0) == rank(loaded, request__context=1.0) == 16.0
    assert [p.default for p in copy.params] == [p.default for p in made.params]
    assert copy.flat == made.flat
    origins = {s.text.split("=")[0].strip(): Path(s.origin.source.path).name for s in loaded.flat}
    assert origins["let size"] == "base.lamps" and origins["let factor"] == "child.lamps"


def test_the_revision_is_that_of_the_flat_text(child, tmp_path: Path) -> None:
    def revision() -> str:
        loaded = load(tmp_path / "child.lamps")
        return compile_policy(policy(loaded), loaded.source).revision

    child('extends base\ntest "t" { request r { } expect r.size == 2tok }')
    before = revision()
    child('extends base   # a comment\n\n\ntest "t" { request r { } expect r.size > 1tok }')
    assert revision() == before
    (tmp_path / "base.lamps").write_text(BASE.replace("factor = 2", "factor = 3"))
    assert revision() != before


def test_the_prelude_is_no_part_of_it() -> None:
    loaded = load_text('lamps 1\npolicy p "t"\nrank decode_area(3tok, 4tok)\n')
    assert [s.text for s in loaded.flat] == ['policy p "t"', "rank decode_area(3tok, 4tok)"]
    assert loading._prelude()


WAIVER = "# lamps: allow unbounded-wait -- on purpose"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"{WAIVER}\nrank highest request.arrival", True),
        (f"rank highest request.arrival  {WAIVER}", True),
        ("rank highest request.arrival  # lamps: allow unbounded-wait", False),
        ("rank highest request.arrival", False),
    ],
    ids=["above", "behind", "without reason", "none"],
)
def test_what_a_file_allows_itself_goes_with_its_text(child, tmp_path: Path, text: str, kept: bool) -> None:
    loaded = child(f'extends base\ndrop promote "x"\n{text}')
    compiled = compile_policy(policy(loaded), loaded.source)
    for sent in (loading.sendable(tmp_path / "child.lamps"), compiled.text):
        again = load_text(sent)
        assert lint(again).overtaking.startswith("waived: on purpose") == kept
        assert compile_policy(policy(again), again.source).revision == compiled.revision
        assert compile_policy(policy(again), again.source).text == sent, "once and no more"


def test_what_a_parent_allows_itself_is_not_inherited(child, tmp_path: Path) -> None:
    (tmp_path / "base.lamps").write_text(BASE.replace("rank", f"{WAIVER}\nrank"))
    child("extends base")
    assert "allow" not in loading.sendable(tmp_path / "child.lamps")
