"""The shipped TextMate grammar is that of the lexer, and colours the shipped policies as the lexer cuts them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import policies
from policy_dsl.diagnostics.model import Source
from policy_dsl.editor import textmate
from policy_dsl.lexer import lex
from policy_dsl.parser import parser

EDITORS = Path(__file__).parents[2] / "docs" / "editors"
COPIES = ("lamps.tmLanguage.json", "vscode/syntaxes/lamps.tmLanguage.json")
RULES = [(re.compile(rule["match"], re.MULTILINE), rule) for rule in textmate.grammar()["patterns"]]


@pytest.mark.parametrize("copy", COPIES)
def test_the_files_are_current(copy: str) -> None:
    hint = f"python -m policy_dsl.editor.textmate > docs/editors/{copy}"
    assert (EDITORS / copy).read_text() == textmate.text(), hint


def scopes(text: str) -> dict[int, str]:
    """The scope of each character, as an editor finds it: the first rule with the leftmost match, again and again."""
    found: dict[int, str] = {}
    for begin, line in _lines(text):
        at = 0
        while at < len(line):
            hits = [(m.start(), i, m) for i, (pattern, _) in enumerate(RULES) if (m := pattern.search(line, at))]
            if not hits:
                break
            _, i, m = min(hits, key=lambda hit: hit[:2])
            rule = RULES[i][1]
            found.update({begin + j: rule.get("name", "") for j in range(m.start(), m.end())})
            for group, inner in rule.get("captures", {}).items():
                found.update({begin + j: inner["name"] for j in range(*m.span(int(group)))})
            at = max(m.end(), at + 1)
    return found


def _lines(text: str) -> list[tuple[int, str]]:
    begin, found = 0, []
    for line in text.split("\n"):
        found.append((begin, line))
        begin += len(line) + 1
    return found


EXPECTED = {
    "HEADER": "keyword.control.header",
    "STRING": "string.",
    "PATH": "variable.other.signal",
    "HANDLING": "constant.language.handling",
    "DIRECTION": "keyword.other.direction",
    "NUMBER": "constant.numeric",
    "QUANTITY": "constant.numeric",
}


@pytest.mark.parametrize("name", policies.shipped())
def test_colours_agree_with_the_lexer(name: str) -> None:
    text = policies.find(name).read_text()
    colours = scopes(text)
    tokens, _ = lex(parser(), Source(name, text))
    wrong = []
    for token in tokens:
        expected = EXPECTED.get(token.type)
        if token.type.isalpha() and token.islower() and token.type == token.upper():
            expected = "keyword."  # a reserved word
        if token in ("true", "false", "handling"):
            expected = "constant.language"
        if expected is not None and not colours.get(token.start_pos or 0, "").startswith(expected):
            wrong.append((token.type, str(token), token.line))
    assert wrong == []


def test_units_have_a_colour_of_their_own() -> None:
    text = "param a = 10s in 1s..1.5h  # 3s"
    colours = scopes(text)
    assert [i for i, scope in colours.items() if scope.startswith("keyword.other.unit")] == [
        text.index("s in"),
        text.index("s.."),
        text.index("h "),
    ]
    assert colours[text.index("3s")].startswith("comment")


def test_the_extension_names_files_that_exist() -> None:
    folder = EDITORS / "vscode"
    package = json.loads((folder / "package.json").read_text())
    contributes = package["contributes"]
    named = [package["main"], contributes["languages"][0]["configuration"], contributes["grammars"][0]["path"]]
    assert [path for path in named if not (folder / path).is_file()] == []
    json.loads((folder / "language-configuration.json").read_text())
