"""`lamps policy`: the shipped policies, one written out, two compared by meaning, a new one begun."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lamps_cli.errors import Failure
from lamps_cli.exit_codes import ExitCode
from lamps_cli.output import talk, write, write_json

if TYPE_CHECKING:
    from policy_dsl.difference import Difference
    from policy_dsl.loading import Loaded

_NAME = re.compile(r"[a-z][a-z0-9_]*")


@click.group()
def policy() -> None:
    """List, show, compare and begin policies."""


@policy.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_(as_json: bool) -> None:
    """List the shipped policies: what each does, what it states, and what is proved about overtaking."""
    import policies

    found = [_described(path) for path in policies.shipped().values()]
    if as_json:
        write_json(found)
        return
    width = max(len(one["name"]) for one in found)
    for one in found:
        write(f"{one['name']:<{width}}  {one['title']}")
        write(f"{'':<{width}}  {', '.join(one['statements'])}; overtaking: {one['overtaking']}")


def _described(path: Path) -> dict[str, Any]:
    from policy_dsl.analysis.starvation import overtaking
    from policy_dsl.compiled import compile_policy
    from policy_dsl.loading import load

    loaded = load(path)
    if loaded.policy is None:
        return {"name": path.stem, "title": "(has errors)", "path": str(path), "statements": [], "overtaking": "-"}
    compiled = compile_policy(loaded.policy, loaded.source)
    return {
        "name": compiled.name,
        "title": compiled.title,
        "path": str(path),
        "statements": list(compiled.statements),
        "overtaking": str(overtaking(loaded.policy)),
    }


@policy.command()
@click.argument("name", metavar="POLICY")
@click.option("--flat", "how", flag_value="flat", help="With all that it takes over written out, each with its origin.")
@click.option("--params", "how", flag_value="params", help="Its parameters only: default, range and meaning.")
def show(name: str, how: str | None) -> None:
    """Print a policy: a file or a shipped one."""
    from lamps_cli.policy_files import checked, text

    if how is None:
        write(text(name).removesuffix("\n"))
    elif how == "flat":
        _flat(checked(name)[0])
    else:
        for info in checked(name)[1].params:
            span = f"{info.low:g}..{info.high:g}"
            write(f"{info.name} = {info.default:g} in {span} ({info.type})" + (f"  # {info.doc}" if info.doc else ""))


def _flat(loaded: Loaded) -> None:
    """What the policy is made of. Where a file differs from the first, a comment says which."""
    write("lamps 1\n")
    for statement in loaded.flat:
        at = statement.origin
        write(f"# {at.source.path}:{at.line}\n{statement.text}\n")


@policy.command()
@click.argument("one", metavar="POLICY")
@click.argument("other", metavar="POLICY")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def diff(one: str, other: str, as_json: bool) -> None:
    """Say how two policies differ in what they mean.

    Layout, comments, tests and the names of lets don't count. Exit status: 0 they mean the same, 1 they differ or
    have errors, 2 a file that can't be read.
    """
    from lamps_cli.policy_files import checked
    from policy_dsl.difference import differences

    before, after = checked(one)[0], checked(other)[0]
    found = differences(before, after)
    if as_json:
        write_json([{"what": d.what, "before": d.before or None, "after": d.after or None} for d in found])
    else:
        for difference in found:
            write(_shown(difference))
        talk(f"{len(found)} difference{'s' * (len(found) != 1)}" if found else "they mean the same")
    if found:
        raise click.exceptions.Exit(ExitCode.FINDINGS)


def _shown(difference: Difference) -> str:
    from policy_dsl.difference import same_words

    if difference.before and same_words(difference.before, difference.after):
        return f"{difference.what}: differs through what it reads"
    lines = [f"- {line}" for line in difference.before.splitlines()]
    lines += [f"+ {line}" for line in difference.after.splitlines()]
    return "\n".join([f"{difference.what}:", *(f"  {line}" for line in lines)])


@policy.command()
@click.argument("name", metavar="NAME")
@click.option("--like", metavar="POLICY", help="Begin with a copy of this policy.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
def new(name: str, like: str | None, force: bool) -> None:
    """Write NAME.lamps: a small policy with comments and a test, to be changed."""
    stem = name.removesuffix(".lamps")
    path = Path(f"{stem}.lamps")
    word = path.stem
    if not _NAME.fullmatch(word):
        raise Failure(f"`{word}` is no name for a policy", "names consist of a-z, 0-9 and _, and begin with a letter")
    text = STARTER.format(name=word) if like is None else _renamed(like, word)
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise Failure(f"{path} is there already", "--force writes over it") from None
    except OSError as problem:
        raise Failure(f"can't write {path}: {problem.strerror}") from None
    talk(f"wrote {path}\n  lamps lint {path} && lamps test {path}\n  lamps serve --policy {path}")


def _renamed(like: str, name: str) -> str:
    """The text of policy *like*, under another name."""
    from lamps_cli.policy_files import checked
    from policy_dsl import nodes

    loaded = checked(like)[0]
    statement = next(s for s in loaded.statements if isinstance(s, nodes.PolicyStatement))
    at = statement.name.span
    lines = loaded.source.text.split("\n")
    line = lines[at.line - 1]
    lines[at.line - 1] = line[: at.column - 1] + name + line[at.end_column - 1 :]
    return "\n".join(lines)


STARTER = """\
lamps 1

policy {name} "Short work first; nobody waits for longer than `patience` behind later arrivals."

param patience = 10s in 100ms..1h  # a request that waited this long goes first

# What a request still asks of the engine: the rest of its prompt, then what it will generate.
let work = prefill_time(request.uncached) + decode_time(predict.output)

# What happens to the KV cache while a tool runs. The cheapest handling is taken: keeping it costs memory for as long
# as the call lasts, giving it up costs computing it again.
on call least {{
  preserve: call.duration * call.context
  discard:  prefill_time(call.context) * (call.context + engine.running_tokens)
}}
while paused every 1s again  # keeping becomes dearer the longer a call lasts, and some sessions never come back

rank work, request.arrival
promote when request.waited >= patience

test "short work goes first" {{
  request long  {{ request.context: 4000tok, predict.output: 300tok }}
  request short {{ request.context: 200tok,  predict.output: 20tok }}
  expect rank short, long
}}

test "patience puts the long one first" {{
  given         {{ patience: 2s }}
  request long  {{ request.context: 4000tok, request.waited: 2s }}
  request short {{ request.context: 200tok }}
  expect rank long, short
}}

test "a short call keeps its memory, a long one on a busy engine does not" {{
  given         {{ engine.running_tokens: 40000tok }}
  request quick {{ call.context: 700tok, call.duration: 10ms }}
  request slow  {{ call.context: 700tok, call.duration: 30s }}
  expect quick on call preserve
  expect slow on call discard
}}

test "a session that doesn't come back loses its memory" {{
  given     {{ engine.running_tokens: 40000tok }}
  session s {{ call.context: 700tok, call.duration: 10ms }}
  expect s paused preserve
  at 1min
  expect s paused discard
}}
"""
