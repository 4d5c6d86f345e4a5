"""Whatever file comes in, findings come out, soon: bytes, depth, size, links, circles, characters that deceive."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import policies
from policy_dsl import loading
from policy_dsl.compiled import compile_policy
from policy_dsl.diagnostics import codes, concise, full
from policy_dsl.lint.run import lint
from policy_dsl.loading import load, load_text
from tests.policy_dsl.soak import SOAKING, count

HEAD = 'lamps 1\npolicy p "t"\n'
CORPUS = Path(__file__).with_name("corpus")
TEXTS = [p.read_bytes().decode() for p in (*policies.shipped().values(), *sorted(CORPUS.glob("*/*.lamps")))]


def said(path: Path) -> list[tuple[str, str]]:
    return [(d.code, d.message) for d in load(path).diagnostics]


# --- files


@pytest.mark.parametrize(
    ("data", "code", "message"),
    [
        (b"", codes.HEADER, "the file is empty; a policy begins with the line `lamps 1`"),
        (b" \n# nothing\n", codes.HEADER, "the file is empty; a policy begins with the line `lamps 1`"),
        (b"\x7fELF\x00\x01", codes.UNREADABLE, "this is not a text file: it holds a zero byte"),
        (b"lamps 1\n\xff\xfe\n", codes.UNREADABLE, "this is not UTF-8 text"),
        (b"a" * 10_000_000, codes.UNREADABLE, "this file is larger than a policy can be (256 KiB)"),
    ],
    ids=["empty", "comment", "binary", "latin", "large"],
)
def test_a_file_that_is_no_policy_has_one_finding(tmp_path: Path, data: bytes, code: str, message: str) -> None:
    path = tmp_path / "p.lamps"
    path.write_bytes(data)
    assert said(path) == [(code, message)]
    (tmp_path / "other.lamps").write_text(HEAD + 'include "p.lamps"\nrank request.age\n')
    assert said(tmp_path / "other.lamps") == [(code, message)]


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name, why in (("pipe", "not a file"), ("folder", "is a directory"), ("loop", "too many levels")):
        path = tmp_path / "p.lamps"
        path.write_text(f'{HEAD}include "{name}"\nrank request.age\n')
        ((code, message),) = said(path)
        assert code == codes.NOT_FOUND
        assert f"cannot be read: {why}" in message


def test_no_permission_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a stand-in for `open`: the superuser may read everything."""
    path = tmp_path / "p.lamps"
    path.write_text(HEAD + 'include "secret.lamps"\nrank request.age\n')
    (tmp_path / "secret.lamps").write_text("lamps 1\n")
    really = Path.open

    def refuse(self: Path, *args: object) -> object:
        if self.name == "secret.lamps":
            raise PermissionError(13, "Permission denied", str(self))
        return really(self, *args)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refuse)
    finding = load(path).diagnostics[0]
    assert finding.code == codes.NOT_FOUND
    assert finding.message.endswith("secret.lamps` cannot be read: permission denied")
    with pytest.raises(PermissionError):
        load(tmp_path / "secret.lamps")


# --- characters


@pytest.mark.parametrize(
    ("text", "line", "column", "called"),
    [
        ("let s\u043ercle = 3", 3, 5, "`\u043e` is CYRILLIC SMALL LETTER O"),
        ("rank request.\u0430ge", 3, 6, "`\u0430` is CYRILLIC SMALL LETTER A"),
        ("rank request.age\u200b", 3, 17, "this is ZERO WIDTH SPACE"),
        ("rank\u00a0request.age", 3, 5, "this is NO-BREAK SPACE"),
        ("rank request.age # \u202e", 3, 20, "remove it: this is RIGHT-TO-LEFT OVERRIDE"),
        ('rank request.age\ntest "\u2066" { expect 1 == 1 }', 4, 7, "remove it: this is LEFT-TO-RIGHT ISOLATE"),
    ],
)
def test_characters_that_deceive_are_called_by_name(text: str, line: int, column: int, called: str) -> None:
    first = load_text(HEAD + text).diagnostics[0]
    assert (first.code, first.span.line, first.span.column, first.help) == (codes.CHARACTER, line, column, called)


def test_other_scripts_may_be_written_in_comments_and_titles() -> None:
    text = HEAD + 'rank request.age # \u0434\u043e\ntest "\u65e5\u672c" { expect 1 == 1 }\n'
    assert load_text(text).diagnostics == ()


# --- size


def test_a_thousand_wrong_lines_are_not_all_gone_through() -> None:
    """Nobody is shown more than a hundred findings, and looking for what was meant takes its time."""
    lets = "\n".join(f"let a{i} = request.waited + {i}s + b{i}" for i in range(1000))
    loaded = load_text(f"{HEAD}{lets}\nrank a3\n")
    assert len(loaded.diagnostics) == 100
    assert [d.span.line for d in loaded.diagnostics] == list(range(3, 103))


@pytest.mark.parametrize(
    "text",
    [
        "rank " + "(" * 5000 + "1" + ")" * 5000,
        "rank " + "not " * 5000 + "true",
        "rank " + "-" * 5000 + "1",
        "rank " + " + ".join(["engine.running"] * 5000),
        "rank " + "if true { 1 } else " * 2000 + "{ 2 }",
        "rank " + "min(" * 2000 + "1" + ", 1)" * 2000,
        "on call " + "if true { discard } else " * 2000 + "{ discard }",
        "on call " + "if true { " * 2000 + "discard" + " } else { discard }" * 2000,
        "let f0(x) = x\n" + "\n".join(f"let f{i}(x) = f{i - 1}(x + {i}) * f{i - 1}(x - {i})" for i in range(1, 40))
        + "\nrank f39(engine.running)",
        "let a0 = engine.running\n" + "\n".join(f"let a{i} = a{i - 1} + 1" for i in range(1, 2000)) + "\nrank a1999",
        "{" * 5000,
        "let " * 5000,
        'test "t" {' + "request a {" * 3000,
        "9" * 50_000,
        "rank 5" + " 5" * 20_000,
    ],
    ids=range(15),
)  # fmt: skip
def test_deep_and_large_policies_end_in_a_finding_soon(text: str) -> None:
    start = time.process_time()
    loaded = load_text(HEAD + text)
    assert time.process_time() - start < 10
    if "(((" not in text:  # parentheses alone make nothing deep
        assert loaded.policy is None
        assert loaded.diagnostics
    assert len(loaded.diagnostics) <= 100


def test_a_policy_at_the_limit_of_depth_compiles() -> None:
    loaded = load_text(HEAD + "rank " + " + ".join(["engine.running"] * 95))
    assert loaded.policy is not None
    from policy_dsl.compiled import compile_policy

    compiled = compile_policy(loaded.policy, loaded.source)
    assert compiled.scalar.rank({}, {"engine.running": 2.0}) == (190.0,)


# Shrinking a policy takes minutes and a mutated one is small enough to read.
_NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)

PIECES = [
    "{", "}", "(", ")", '"', "let", " rank ", "0", "5s", ".", "..", "_", "*", "\n", "\t", "é", "\x1b", "if", "call.",
    "handling", ",", "-", "^", "=", "%", "'", "\u2028", "lamps 1\n", 'test "x" {', "expect ", " extends lamps ",
    'include "x" ', "override ", 'drop promote "x" ', "class a ", "hint.x", "class.x", " again ", " at 5s ", "session ",
    "while paused every ", "limit ", "yield ", "victim ", "admit when ", "budget 1us at 1 requests ", "at arrival ",
]  # fmt: skip
edits = st.lists(
    st.tuples(
        st.sampled_from(["cut", "copy", "insert", "swap"]), st.integers(0, 10**6), st.integers(0, 40),
        st.sampled_from(PIECES) | st.text(max_size=5),
    ),
    min_size=1, max_size=6,
)  # fmt: skip


def mutated(text: str, changes: list[tuple[str, int, int, str]]) -> str:
    for kind, at, length, piece in changes:
        i = at % (len(text) + 1)
        match kind:
            case "cut":
                text = text[:i] + text[i + length :]
            case "copy":
                text = text[:i] + text[i : i + length] + text[i:]
            case "insert":
                text = text[:i] + piece + text[i:]
            case "swap":
                text = text[:i] + text[i + length : i + 2 * length] + text[i : i + length] + text[i + 2 * length :]
    return text


@pytest.mark.timeout(0 if SOAKING else 300)
@settings(max_examples=count(300, 20_000), deadline=None, suppress_health_check=list(HealthCheck), phases=_NO_SHRINKING)
@given(st.sampled_from(TEXTS), edits)
def test_any_text_gives_a_policy_or_findings(text: str, changes: list[tuple[str, int, int, str]]) -> None:
    loaded = load_text(mutated(text, changes))
    assert (loaded.policy is None) == bool(loaded.diagnostics)
    for d in loaded.diagnostics:
        lines = d.span.source.text.split("\n")
        assert d.code in codes.TITLES
        ours = re.sub(r"`[^`]*`", "", d.message) if d.message.count("`") % 2 == 0 else ""  # texts may hold a `
        assert not re.search(r"\b[A-Z]{4,}\b|__ANON|\$END", ours), d.message
        assert 1 <= d.span.line <= len(lines)
        assert 1 <= d.span.column <= len(lines[d.span.line - 1]) + 1
        assert "\n" not in concise.render(d)
        full.render(d)
    if loaded.policy is not None:
        lint(loaded)
        assert compile_policy(loaded.policy, loaded.source).batch is not None


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_give_findings(data: bytes) -> None:
    loaded = loading._load(b"lamps 1\n" + data, "x")
    assert loaded.policy is None and loaded.diagnostics


def test_a_gate_of_conditions_used_again_and_again_compiles() -> None:
    lets = "\n".join(f"let a{i} = a{i - 1} and not (a{i - 1} or a0)" for i in range(1, 40))
    loaded = load_text(f"{HEAD}let a0 = request.waited > 1s\n{lets}\nadmit when a39\n")
    assert loaded.policy is not None
    rules = compile_policy(loaded.policy, loaded.source).scalar
    assert not rules.admit({"request.waited": 0.0}, {})
    assert rules.admit({"request.waited": float("nan")}, {})
