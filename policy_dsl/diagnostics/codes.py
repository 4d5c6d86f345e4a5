"""Every code a finding can have, and what it is about in a few words.

0xx text and syntax, 1xx names, 2xx types and units, 4xx handlings of a call.
"""

from __future__ import annotations

UNREADABLE = "LMP001"
HEADER = "LMP002"
SYNTAX = "LMP003"
NUMBER = "LMP004"
CHARACTER = "LMP005"
STRING = "LMP006"
RESERVED = "LMP007"
TOO_LARGE = "LMP009"
UNCLOSED = "LMP010"

UNKNOWN_NAME = "LMP101"
UNKNOWN_FUNCTION = "LMP102"
REPEATED = "LMP103"
PRELUDE = "LMP104"
ORDER = "LMP105"
CYCLE = "LMP106"
NOT_READABLE = "LMP107"
NO_POLICY = "LMP108"
NOT_A_FUNCTION = "LMP109"
NOT_FOUND = "LMP110"
CHAIN = "LMP111"
OVERRIDE = "LMP112"
DROP = "LMP113"
INCLUDED = "LMP114"
CLASSES = "LMP115"

UNITS = "LMP201"
WRONG_TYPE = "LMP202"
ARGUMENTS = "LMP203"
RANGE = "LMP204"
MATCH = "LMP205"
EXPONENT = "LMP206"
DISTRIBUTION = "LMP207"
NOT_CONSTANT = "LMP208"

ACTION = "LMP401"

TITLES: dict[str, str] = {
    UNREADABLE: "the file is not readable text",
    HEADER: "the header `lamps 1` is missing or names another version",
    SYNTAX: "something else was expected here",
    NUMBER: "a malformed number or an unknown unit",
    CHARACTER: "a character or word the language does not have",
    STRING: "a text without its closing quote",
    RESERVED: "a reserved word used as a name",
    TOO_LARGE: "an expression nested too deeply, or a policy too large",
    UNCLOSED: "a brace without its partner",
    UNKNOWN_NAME: "an unknown name or signal",
    UNKNOWN_FUNCTION: "an unknown function",
    REPEATED: "the same thing defined twice",
    PRELUDE: "a name of the prelude defined again",
    ORDER: "a name used before its definition, or in it",
    CYCLE: "a decision that depends on its own answer",
    NOT_READABLE: "a signal that cannot be read here",
    NO_POLICY: "no `policy` statement",
    NOT_A_FUNCTION: "a value used as a function, or a function as a value",
    NOT_FOUND: "a file or policy that is not there",
    CHAIN: "files that build on one another in a circle, or too deep",
    OVERRIDE: "an `override` of nothing, or of something else",
    DROP: "a `drop` of nothing, or without a reason",
    INCLUDED: "an included file that has more than lets and params",
    CLASSES: "classes that do not go together",
    UNITS: "two units that do not fit",
    WRONG_TYPE: "a value of the wrong type",
    ARGUMENTS: "too few or too many arguments",
    RANGE: "a value outside its range",
    MATCH: "a `match` that misses a case or has one too many",
    EXPONENT: "an exponent that gives no unit",
    DISTRIBUTION: "a function that needs a predicted signal by name",
    NOT_CONSTANT: "a value in a test that is not constant",
    ACTION: "an action that cannot be carried out",
}
