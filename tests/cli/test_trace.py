"""`lamps trace` from outside: what it prints, what it writes, how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine_adapter.workload.generate import CLASSES
from engine_adapter.workload.importing import FORMATS
from engine_adapter.workload.trace import load_trace
from lamps_cli.commands import trace as command
from lamps_cli.exit_codes import ExitCode
from tests.cli.running import lamps

SHOWN = """\
agentic-coding: 390 sessions, 32 of them sub-agents, 24,478 turns
96.2% of the prompt tokens repeat the turn before; the longest turn needs 881,413 tokens
arrivals are recorded: all at once

                           mean        p50        p95        p99        max
"""
AZURE = (
    "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,374,44\n2023-11-16 18:17:13.9799600,396,9\n"
)
IMPORTED = """\
az: 2 sessions, 2 turns
0.0% of the prompt tokens repeat the turn before; the longest turn needs 418 tokens
arrivals are recorded, over 10.0 s

                           mean        p50        p95        p99        max
turns a session               1          1          1          1          1
prompt, tokens              385        385      394.9      395.8        396
output, tokens             26.5       26.5      42.25      43.65         44
tools' gaps, s                -          -          -          -          -
people's gaps, s              -          -          -          -          -
"""


def test_the_names_in_the_help_are_those_of_the_workload() -> None:
    assert tuple(FORMATS) == command.FORMATS
    importing, generating = (lamps("trace", name, "--help").stdout for name in ("import", "generate"))
    assert ", ".join(FORMATS) in " ".join(importing.split())
    assert all(f" {name}" in generating for name in CLASSES)


def test_show_prints_what_a_trace_holds() -> None:
    done = lamps("trace", "show", "agentic-coding")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(SHOWN)
    document = json.loads(lamps("trace", "show", "augmented-multi", "--json").stdout)
    assert (document["sessions"], document["turns"], document["recorded_s"]) == (397, 2054, None)
    assert dict(document["tools"])["qa"] == 152


def test_import_writes_a_trace_and_says_what_is_lost(tmp_path: Path) -> None:
    source, out = tmp_path / "azure.csv", tmp_path / "az.jsonl.gz"
    source.write_text(AZURE)
    done = lamps("trace", "import", "azure", source, "-o", out)
    assert (done.returncode, done.stdout) == (0, IMPORTED)
    assert done.stderr.splitlines()[-1] == "not told: tools, shared prefixes, tenants"
    assert [session.start_s for session in load_trace(out).sessions] == [0.0, 10.0]
    before = out.read_bytes()
    document = json.loads(lamps("trace", "import", "azure", source, "-o", out, "--json").stdout)
    assert document["lost"][1] == "tools, shared prefixes, tenants"
    assert out.read_bytes() == before


def test_bad_lines_are_told_and_nothing_is_written(tmp_path: Path) -> None:
    source, out = tmp_path / "azure.csv", tmp_path / "az.jsonl"
    source.write_text(AZURE + "2023,x,1\n" * 30)
    done = lamps("trace", "import", "azure", source, "-o", out)
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
    told = done.stderr.splitlines()
    assert f"{source}:4: " in told[0]
    assert len(told) == 21
    assert told[-1] == "... and 10 more"
    assert not out.exists()


def test_generate_writes_what_a_seed_gives(tmp_path: Path) -> None:
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    for out in (one, other):
        done = lamps("trace", "generate", "--sessions", "40", "--mix", "qa=3", "--mix", "ve", "--seed", "7", "-o", out)
        assert done.returncode == 0
        assert done.stdout.startswith(f"{out.stem}: 40 sessions, ")
    assert one.read_bytes() == other.read_bytes()
    assert {session.tool for session in load_trace(one).sessions} == {"qa", "ve"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "nosuch"], "no trace and no file is named nosuch"),
        (["import", "csv", "x", "-o", "y"], "'csv' is not one of 'mooncake'"),
        (["import", "azure", "nosuch", "-o", "y"], "can't read nosuch: No such file"),
        (["import", "azure", "nosuch"], "Missing option '-o'"),
        (["generate", "--mix", "qa=x", "-o", "y"], "--mix takes CLASS=WEIGHT"),
        (["generate", "--mix", "maths=1", "-o", "y"], "no class is named maths"),
        (["generate", "--sessions", "1", "-o", "/no/such/folder/x"], "can't write /no/such/folder/x"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(arguments: list[str], message: str) -> None:
    done = lamps("trace", *arguments)
    assert done.returncode == ExitCode.USAGE
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


# Lines in the form of the published files: separators, line ends and order of fields as they have them.
PUBLISHED = {
    "azure": "TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:17:03.9799600,374,44\r\n"
    "2023-11-16 18:17:04.0319600,396,109",  # the last line has no end
    "mooncake": '{"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": '
    "[46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 2353, 2354]}\n"
    '{"timestamp": 30535, "input_length": 7472, "output_length": 26, "hash_ids": '
    "[46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 2353, 2366, 2367]}\n",
    "burstgpt": "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    "5.0,ChatGPT,472,18,490,Conversation log\n118.0,ChatGPT,417,276,693,Conversation log\n",
    "sharegpt": '[{"id": "QWJhYvA_0", "conversations": [{"from": "human", "value": "one two three"}, '
    '{"from": "gpt", "value": "four five six seven"}, {"from": "human", "value": "eight"}, '
    '{"from": "gpt", "value": "nine ten"}]}, {"id": "QWJhYvA_1", "conversations": '
    '[{"from": "human", "value": "a b"}, {"from": "gpt", "value": "c"}]}]',
}


@pytest.mark.parametrize(("format_name", "sessions", "turns"), [
    ("azure", 2, 2), ("mooncake", 1, 2), ("burstgpt", 2, 2), ("sharegpt", 2, 3),
])  # fmt: skip
def test_files_as_they_are_published_become_traces(tmp_path: Path, format_name: str, sessions: int, turns: int) -> None:
    source, out = tmp_path / "source", tmp_path / "out.jsonl"
    source.write_bytes(PUBLISHED[format_name].encode())
    done = lamps("trace", "import", format_name, source, "-o", out)
    assert done.returncode == 0, done.stderr
    shown = json.loads(lamps("trace", "show", out, "--json").stdout)
    assert (shown["sessions"], shown["turns"]) == (sessions, turns)
