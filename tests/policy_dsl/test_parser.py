"""The grammar has no conflicts, and whatever text comes in, findings come out."""

from __future__ import annotations

from pathlib import Path

import pytest

import policies
from policy_dsl import loading, nodes, tables
from policy_dsl.catalogue import SIGNALS
from policy_dsl.diagnostics import codes, concise, full
from policy_dsl.diagnostics.model import Source
from policy_dsl.loading import Loaded, load, load_text
from policy_dsl.parser import build, grammar, parse, parser
from policy_dsl.recovery import STATEMENTS
from policy_dsl.units import SUFFIXES

HEAD = 'lamps 1\npolicy p "t"\n'
CORPUS = Path(__file__).with_name("corpus")
TEXTS = [p.read_bytes().decode() for p in (*policies.shipped().values(), *sorted(CORPUS.glob("*/*.lamps")))]
RESERVED = """
policy param let rank on call promote when by limit least if else match for then in at and or not true false highest
lowest handling preserve discard swap none test expect every again paused yield victim while admit class budget extends
include override hint drop
""".split()  # noqa: SIM905 - shorter than forty quoted words


def found(text: str) -> list[str]:
    return [d.code for d in load_text(text).diagnostics]


def only(text: str) -> nodes.Statement:
    parsed = parse(Source("a", HEAD + text))
    assert parsed.diagnostics == ()
    return parsed.statements[1]


def test_the_grammar_has_no_conflicts_and_no_two_terminals_collide() -> None:
    pytest.importorskip("interegular")
    build(strict=True)


def test_the_shipped_tables_are_those_of_the_grammar() -> None:
    """`python -m policy_dsl.tables` makes them anew."""
    assert tables.FILE.read_bytes().startswith(tables.key(grammar()))
    shipped = tables.read(grammar())
    assert shipped is not None and shipped.options.postlex is not None
    assert [t.name for t in shipped.terminals] == [t.name for t in build().terminals]
    assert tables.read(grammar() + " ") is None


def test_every_reserved_word_is_refused_as_a_name() -> None:
    for word in RESERVED:
        d = load_text(f"{HEAD}let {word} = 3\n").diagnostics[0]
        assert d.code in (codes.RESERVED, codes.SYNTAX), word
        assert (d.code, d.span.line) == (codes.RESERVED, 3), word


@pytest.mark.parametrize(
    "name", [*SUFFIXES, "tokens", "duration", "min", "request", "given", "arrival", "requests", "ranked"]
)
def test_units_types_and_subjects_are_no_reserved_words(name: str) -> None:
    if name.isidentifier() and name.islower() and name != "min":
        assert found(f"{HEAD}let {name} = 3\nrank {name}\n") == []


def test_no_word_of_the_grammar_is_a_name_that_users_know() -> None:
    words = {t.pattern.value for t in parser().terminals if t.pattern.type == "str" and t.pattern.value.isidentifier()}
    assert {"policy", "rank", "least", "expect"} <= words
    prelude = {s.name.name for s in loading._prelude() if isinstance(s, nodes.LetStatement)}
    assert not words & (prelude | set(policies.shipped()) | set(SIGNALS))
    assert words | {"override"} >= set(STATEMENTS)


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [("5s", 5.0, "s"), ("2min", 120.0, "min"), ("60%", 0.6, "%"), ("1_000tok", 1000.0, "tok"),
     ("1.5KiB", 1536.0, "KiB"),
     ("1e3", 1000.0, ""), ("2.5e-1ms", 0.25e-3, "ms"), ("0", 0.0, ""), ("7steps", 7.0, "steps"), ("3B", 3.0, "B")],
)  # fmt: skip
def test_literals_are_read_in_base_units(text: str, value: float, unit: str) -> None:
    let = only(f"let x = {text}")
    assert isinstance(let, nodes.LetStatement) and isinstance(let.value, nodes.Number)
    assert let.value.value == pytest.approx(value, rel=1e-15)
    assert (let.value.unit, let.value.dim) == (unit, SUFFIXES[unit][0] if unit else SUFFIXES["%"][0])


def shape(e: nodes.Expr) -> str:
    match e:
        case nodes.Infix():
            return f"({shape(e.left)} {e.op} {shape(e.right)})"
        case nodes.Prefix():
            return f"({e.op} {shape(e.operand)})"
        case nodes.Name():
            return e.name
        case nodes.Number():
            return f"{e.value:g}"
    raise AssertionError(e)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a - b - c", "((a - b) - c)"),
        ("a + b * c / d", "(a + ((b * c) / d))"),
        ("-a ^ 2", "(- (a ^ 2))"),
        ("a ^ -2", "(a ^ (- 2))"),
        ("a ^ b ^ c", "(a ^ (b ^ c))"),
        ("not a < b and c or d", "(((not (a < b)) and c) or d)"),
        ("a\n- b", "(a - b)"),
        ("(a - (b - c))", "(a - (b - c))"),
    ],
)
def test_precedence(text: str, tree: str) -> None:
    let = only(f"let x = {text}")
    assert isinstance(let, nodes.LetStatement)
    assert shape(let.value) == tree


@pytest.mark.parametrize(
    "text",
    ["a * (b + c)", "(a + b) * c", "(a) + (b) - (c)", "((a)) < ((b + 1))", "a and not (b or (c))", "(a) ^ (b)", "-(a)"],
)
def test_the_span_of_an_operation_holds_its_parentheses(text: str) -> None:
    let = only(f"let x = {text} # (")
    assert isinstance(let, nodes.LetStatement)
    assert let.value.span.text == text


def test_parentheses_belong_to_what_is_around_them() -> None:
    let = only("let x = (a - (b)) * (c)")
    assert isinstance(let, nodes.LetStatement) and isinstance(let.value, nodes.Infix)
    left, right = let.value.left, let.value.right
    assert isinstance(left, nodes.Infix)
    assert [e.span.text for e in (left, left.right, right)] == ["a - (b)", "b", "c"]


def test_every_part_of_a_statement_has_its_place() -> None:
    limit = only("limit a.running <= (1 + b) * (c) by highest (call.elapsed + 1s), (d)")
    assert isinstance(limit, nodes.LimitStatement)
    parts = (limit.name, limit.bound, *limit.by, *(k.expr for k in limit.by))
    assert [p.span.text for p in parts] == [
        "a.running", "(1 + b) * (c)", "highest (call.elapsed + 1s)", "(d)", "call.elapsed + 1s", "d",
    ]  # fmt: skip


def test_spans_cover_what_was_written_parentheses_and_all() -> None:
    let = only("let x = min(1, (2 + 3))")
    assert isinstance(let, nodes.LetStatement) and isinstance(let.value, nodes.Apply)
    assert (let.value.span.column, let.value.span.end_column) == (9, 24)
    assert (let.value.args[1].span.column, let.value.args[1].span.end_column) == (17, 22)


def test_statements_may_be_written_on_one_line() -> None:
    assert (
        found(
            'lamps 1\npolicy p "t" let a = 1s rank a promote when a > 2s on call discard '
            'test "t" { request x { } expect x on call discard }'
        )
        == []
    )


def test_windows_line_ends_and_a_byte_order_mark_do_not_move_columns() -> None:
    plain, windows = f"{HEAD}let a = b\n", "\ufeff" + f"{HEAD}let a = b\n".replace("\n", "\r\n")
    a, b = load_text(plain).diagnostics[0], load_text(windows).diagnostics[0]
    assert (a.span.line, a.span.column, full.render(a)) == (b.span.line, b.span.column, full.render(b))


def load_bytes(tmp_path: Path, data: bytes) -> Loaded:
    path = tmp_path / "p.lamps"
    path.write_bytes(data)
    return load(path)


@pytest.mark.parametrize(
    ("data", "code", "line", "column"),
    [
        (b"", codes.HEADER, 1, 1),
        (b"lamps 1\n\0", codes.UNREADABLE, 1, 1),
        (b"lamps 1\r\n# \xff", codes.UNREADABLE, 2, 3),
        (b"\xef\xbb\xbflamps 1 \xc3", codes.UNREADABLE, 1, 9),
        (b"#" * 300_000, codes.UNREADABLE, 1, 1),
        (bytes(range(1, 256)), codes.UNREADABLE, 3, 115),
    ],
)
def test_files_that_are_no_text(tmp_path: Path, data: bytes, code: str, line: int, column: int) -> None:
    loaded = load_bytes(tmp_path, data)
    d = loaded.diagnostics[0]
    assert loaded.policy is None
    assert (d.code, d.span.line, d.span.column) == (code, line, column)


def test_a_missing_file_is_the_callers_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.lamps")


def test_one_error_is_one_finding() -> None:
    for text in (
        "let a = unknown\nlet b = a + 1s\nrank b, a * 2\npromote when a\non call least { preserve: b discard: a }",
        "let a = (1 + \nlet b = a\nrank a, b",
        "param a = 5x in 1..2\nrank a\nlet b = a + 1s",
        "let a(x) = unknown * x\nlet b = a(1) + a(2s)\nrank b",
        "on call least { preserve: unknown discard: 1s }\nlet h = match handling { _: 1s }\nrank h",
        "on call lest { }\nlet h = match handling { _: 1s }\nrank h",
        "let a = 1s + 1tok\nlimit pinned <= a",
        'test "a" { request r { call.duration 5s } expect r.call.duration == 5s }',
    ):
        assert len(found(HEAD + text)) == 1, [concise.render(d) for d in load_text(HEAD + text).diagnostics]


def test_every_statement_shows_its_own_error() -> None:
    text = HEAD + "let a = 1 +\nlet b = * 2\nrank ,\npromote 3\nlimit pinned 5\non call maybe\n" + 'test "x" { expect }'
    assert sorted(d.span.line for d in load_text(text).diagnostics) == [3, 4, 5, 6, 7, 8, 9]
