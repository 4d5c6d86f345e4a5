"""The TextMate grammar, made of the lexer's terminals: colours without a language server.

`python -m policy_dsl.editor.textmate` prints it; docs/editors keeps it, and a test that it is current.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from lark.lexer import PatternStr, TerminalDef

from policy_dsl.editor.words import STATEMENTS
from policy_dsl.functions import BUILTINS
from policy_dsl.parser import build

_BEGINS = r"(?<!\w)(?<!\w\.)"  # no word, no dotted word before: but `1s..1h` has two dots
_SIGNS = ("COMMENT", "STRING", "CMP", "LE")  # may stand right behind a word
_OPERATORS = ("and", "or", "not", "in")
_CONSTANTS = ("true", "false", "handling")
# Scopes of terminals, in the order in which a highlighter has to try them.
_SCOPES = {
    "COMMENT": "comment.line.number-sign",
    "STRING": "string.quoted.double",
    "HEADER": "keyword.control.header",
    "QUANTITY": "constant.numeric",
    "NUMBER": "constant.numeric",
    "PATH": "variable.other.signal",
    "AT_ARRIVAL": "keyword.control",
    "OVERRIDE": "storage.modifier",
    "HANDLING": "constant.language.handling",
    "DIRECTION": "keyword.other.direction",
    "CMP": "keyword.operator",
    "LE": "keyword.operator",
}


def grammar() -> dict[str, Any]:
    """The grammar as a JSON document."""
    terminals = {t.name: t for t in build().terminals}
    words = sorted(_words(terminals))
    begins = {word for name in STATEMENTS for word in name.split()} & set(words)
    patterns = [_definition()]
    patterns += [_terminal(terminals[name], scope) for name, scope in _SCOPES.items() if name in terminals]
    patterns += [
        _match(_any(sorted(begins)), "keyword.control.statement"),
        _match(_any(_OPERATORS), "keyword.operator.word"),
        _match(_any(_CONSTANTS), "constant.language"),
        _match(_any(w for w in words if w not in begins and w not in (*_OPERATORS, *_CONSTANTS)), "keyword.control"),
        _match(rf"{_any(sorted(BUILTINS))}(?=\s*\()", "support.function"),
        _match(r"\b[a-z_][a-z0-9_]*(?=\s*\()", "entity.name.function"),
        _match(r"[-+*/^=]", "keyword.operator"),
    ]
    return {
        "$schema": "https://raw.githubusercontent.com/martinring/tmlanguage/master/tmlanguage.json",
        "name": "lamps",
        "scopeName": "source.lamps",
        "fileTypes": ["lamps"],
        "patterns": patterns,
    }


def text() -> str:
    """The file."""
    return json.dumps(grammar(), indent=2, ensure_ascii=False) + "\n"


def _words(terminals: dict[str, TerminalDef]) -> set[str]:
    """The reserved words that stand in the grammar as themselves."""
    strings = {t.pattern.value for t in terminals.values() if isinstance(t.pattern, PatternStr)}
    return {s for s in strings if re.fullmatch(r"[a-z]+", s)}


def _match(pattern: str, scope: str) -> dict[str, Any]:
    return {"match": pattern, "name": f"{scope}.lamps"}


def _any(words: Iterable[str]) -> str:
    return rf"{_BEGINS}(?:{'|'.join(words)})(?![\w.])"


def _terminal(terminal: TerminalDef, scope: str) -> dict[str, Any]:
    pattern = terminal.pattern.to_regexp()
    rule = _match(pattern if terminal.name in _SIGNS else f"{_BEGINS}{pattern}", scope)
    if terminal.name == "QUANTITY":
        unit = 1 + pattern[: pattern.index("(ns|")].replace("(?", "").count("(")
        rule["captures"] = {str(unit): {"name": "keyword.other.unit.lamps"}}
    return rule


def _definition() -> dict[str, Any]:
    """The name that a statement defines."""
    return {
        "match": rf"{_BEGINS}(policy|param|let|hint|class)\s+([a-z_][a-z0-9_]*)(?![\w.])",
        "captures": {
            "1": {"name": "keyword.control.statement.lamps"},
            "2": {"name": "entity.name.definition.lamps"},
        },
    }


if __name__ == "__main__":
    print(text(), end="")
