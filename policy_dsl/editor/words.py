"""The words that begin statements: what to type and what it does, in a line."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Word:
    """*snippet* in the notation of editors: `${1:name}` is a place to fill in, `$0` the last."""

    snippet: str
    doc: str


STATEMENTS: dict[str, Word] = {
    "policy": Word('policy ${1:name} "${2:what it does}"', "The name and title of this policy."),
    "extends": Word("extends ${1:lamps}", "Takes over all that another policy states, but tests, title and budget."),
    "include": Word('include "${1:file.lamps}"', "Takes lets and params from another file."),
    "override": Word("override let ${1:name} = $0", "Puts this let or param in the place of the parent's."),
    "drop": Word('drop ${1:promote} "${2:why}"', "Leaves out what the parent states."),
    "param": Word("param ${1:name} = ${2:10s} in ${3:1s}..${4:1min}", "A number to tune, with its default and range."),
    "hint": Word("hint ${1:name} = ${2:0} in ${3:0}..${4:1}", "What clients may say; read as `hint.name`."),
    "let": Word("let ${1:name} = $0", "A named value; with arguments, `let f(x: tokens) = ...`, a function."),
    "class": Word(
        "class ${1:name} when ${2:request.priority < 0} { ${3:weight}: ${4:1} }",
        "A group of sessions and its attributes, read as `class.weight`. The first that matches counts; the last has"
        " no `when`.",
    ),
    "rank": Word("rank ${1:request.arrival}", "The order of the waiting requests: keys, the lowest first."),
    "on call": Word(
        "on call least {\n  preserve for ${1:30s}: ${2:call.duration * call.context}\n  discard: $0\n}",
        "What happens to the KV cache of a session when its turn ends in a tool call.",
    ),
    "while paused": Word(
        "while paused every ${1:1s} ${0:again}",
        "Asks again during a call, at most this often. `again` asks `on call` with today's values.",
    ),
    "yield": Word("yield highest ${1:call.remaining}", "Which paused session gives its memory up first."),
    "victim": Word("victim highest ${1:request.arrival}", "Which running request is preempted first."),
    "admit": Word("admit when $0", "Whether a waiting request may start; asked in the order of `rank`."),
    "promote": Word(
        "promote when request.waited >= ${1:60s}", "Which waiting requests go before all others, until their turn ends."
    ),
    "limit": Word("limit ${1:pinned} <= ${2:50%}", "The most of something: a share of its total, or tokens."),
    "budget": Word(
        "budget ${1:200us} at ${2:4096} requests", "How long ranking and promoting so many requests may take a step."
    ),
    "test": Word(
        'test "${1:what holds}" {\n  request ${2:a} { $0 }\n  expect rank ${2:a}, ${3:b}\n}',
        "Given requests and what is expected of them. Run by `lamps test`.",
    ),
}

# Words inside statements, for who points at them.
OTHERS: dict[str, str] = {
    "least": "The handling with the least cost, of those that are possible.",
    "match": "One value or decision for each case of a text or a handling.",
    "if": "One of two values or decisions; `else` is needed.",
    "else": "The other of two values or decisions.",
    "when": "Under this condition only.",
    "by": "In this order, the lowest first.",
    "then": "What follows when the time of the first handling is over.",
    "for": "How long the handling lasts, from the start of the call.",
    "every": "At least so long between two askings.",
    "again": "The answer of `on call` with today's values.",
    "highest": "The highest value first.",
    "lowest": "The lowest value first, as always when nothing is said.",
    "handling": "The handling foreseen for the next call (`none`: no call), or in force during one.",
    "preserve": "Keep the KV cache on the device during the call.",
    "discard": "Free the KV cache; what is needed again is computed again.",
    "swap": "Move the KV cache to host memory, and back after the call.",
    "none": "No call is foreseen.",
    "expect": "What a test says must hold.",
    "paused": "During a tool call.",
    "and": "Both conditions.",
    "or": "One of two conditions.",
    "not": "The opposite of a condition.",
    "in": "Whether a text is one of a list; patterns may end in `*`. In `param`, the range.",
}
