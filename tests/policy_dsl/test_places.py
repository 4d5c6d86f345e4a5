"""Tracebacks and profiles of compiled policies point into the policy, and into the file that states the rule."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

import numpy as np
import pytest

from policies import shipped
from policy_dsl.compiled import compile_policy
from policy_dsl.loading import load
from policy_dsl.worlds import engine_values, row_values

ENGINE = engine_values(())


def test_tracebacks_point_into_the_policy(tmp_path):
    path = tmp_path / "long.lamps"
    path.write_text('lamps 1\npolicy p "tün"\n# é\nrank request.age\n  + 2 * call.duration # ü\n')
    loaded = load(path)
    assert loaded.policy is not None
    compiled = compile_policy(loaded.policy, loaded.source)
    with pytest.raises(KeyError) as caught:
        compiled.scalar.rank({"request.age": 1.0}, {})
    frame = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (frame.filename, frame.name, frame.lineno) == (str(path), "rank", 5)
    assert frame.line is not None
    assert frame.line[frame.colno - 2 : frame.end_colno - 2] == "call.duration"  # shown without its indent


INHERITING = """lamps 1
policy child "c"
extends "parent.lamps"
override let size = request.prompt + request.generated
class small when request.priority > 3 { weight: 1 }
class rest { weight: 1 }
promote when request.waited >= call.elapsed
"""
PARENT = """lamps 1
policy parent "p"
let size = request.context

rank size * call.duration * request.waited
on call if call.chance > 50% {
  preserve for call.duration.p90
} else { discard }
while paused every 1s if call.elapsed > 5s { discard } else { again }
yield request.cached
victim request.priority
admit when request.pinned < engine.kv_free
limit running <= engine.seats - 1 by call.elapsed
"""


@pytest.mark.parametrize(
    ("asked", "file", "line"),
    [
        (lambda s: s.rank({"request.prompt": 1.0, "request.generated": 2.0}, {}), "parent", 5),
        (lambda s: s.rank({"request.prompt": 1.0}, {}), "parent", 5),
        (lambda s: s.on_call({}, {}), "parent", 6),
        (lambda s: s.on_call({"call.chance": 1.0}, {}), "parent", 7),
        (lambda s: s.handling({}, {}), "parent", 6),
        (lambda s: s.handling({"call.chance": 1.0}, {}), "parent", 7),
        (lambda s: s.paused({}, {}), "parent", 9),
        (lambda s: s.paused({"call.elapsed": 1.0}, {}), "parent", 6),
        (lambda s: s.yield_keys({}, {}), "parent", 10),
        (lambda s: s.victim_keys({}, {}), "parent", 11),
        (lambda s: s.admit({}, {}), "parent", 12),
        (lambda s: s.limit("running", {}), "parent", 13),
        (lambda s: s.limit_by("running", {}, {}), "parent", 13),
        (lambda s: s.promote({}, {}), "child", 7),
        (lambda s: s.class_of({}), "child", 5),
    ],
    ids=range(15),
)
def test_tracebacks_of_inherited_rules_point_into_the_parent(tmp_path, asked, file, line):
    compiled = inheriting(tmp_path)
    with pytest.raises(KeyError) as caught:
        asked(compiled.scalar)
    frame = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (Path(frame.filename).name, frame.lineno) == (f"{file}.lamps", line)


def test_batch_lines_of_inherited_rules_are_the_parents(tmp_path):
    batch = inheriting(tmp_path).batch
    for kernel, file, line in ((batch._rank._kernel, "parent", 5), (batch._promote._kernel, "child", 7)):
        lines = {line for _, _, line in kernel.body.__code__.co_lines() if line}
        assert Path(kernel.body.__code__.co_filename).name == f"{file}.lamps"
        assert line in lines and 1 not in lines


def inheriting(folder):
    (folder / "parent.lamps").write_text(PARENT)
    path = folder / "child.lamps"
    path.write_text(INHERITING)
    loaded = load(path)
    assert loaded.policy is not None, [d.message for d in loaded.diagnostics]
    return compile_policy(loaded.policy, loaded.source)


def test_batch_lines_stand_where_the_policy_has_them(tmp_path):
    path = tmp_path / "lines.lamps"
    path.write_text('lamps 1\npolicy p "t"\nrank request.age\n  * engine.running_tokens\n')
    loaded = load(path)
    assert loaded.policy is not None
    compiled = compile_policy(loaded.policy, loaded.source)
    lines: set[int] = set()

    def trace(frame, event, _arg):
        if frame.f_code.co_filename == str(path):
            lines.add(frame.f_lineno)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        compiled.batch.rank({"request.age": np.ones(2)}, (), ENGINE)
    finally:
        sys.settrace(before)
    assert 3 in lines


def test_what_the_prelude_computes_stands_where_it_is_used():
    path = shipped()["lamps"]
    loaded = load(path)
    assert loaded.policy is not None
    rules = compile_policy(loaded.policy, loaded.source).scalar
    values = row_values((), ENGINE)
    del values["predict.output_after"]  # read by decode_area(back, predict.output_after)
    engine = {k: v for k, v in ENGINE.items() if k != "cost.decode"}  # read inside decode_time, in the prelude
    for asked, given in ((values, ENGINE), (row_values((), ENGINE), engine)):
        with pytest.raises(KeyError) as caught:
            rules.rank(asked, given)
        frame = traceback.extract_tb(caught.value.__traceback__)[-1]
        assert frame.filename == str(path)
        assert frame.line is not None
        assert "decode_area(" in frame.line
