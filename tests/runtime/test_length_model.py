"""A trained model as numbers and as a file: what is foretold, and that no file can do harm."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_adapter.runtime.length_inputs import KEPT_TOKENS, OTHER_TOOL, inputs
from engine_adapter.runtime.length_model import BUCKETS, TOPS, LengthModel, ModelError, bucket_of, quantiles
from engine_adapter.runtime.past import KEPT_OUTPUTS, NEW, USER, Past
from tests.runtime.made_models import arrays, case, model, sure

CASES = [case(50), case(700, (20, "search")), case(9, (20, USER), (3, "python"), tokens=(1, 2, 3))]


def test_a_past_keeps_the_last_turns() -> None:
    past = NEW.begun(100)
    assert (past.prompt, past.grown, past.opening) == (100, 100, 100)
    for output in range(1, 7):
        past = past.answered(output, "search").returned(2.0).begun(200)
    assert past.outputs == (3, 4, 5, 6)
    assert (len(past.outputs), past.tools, past.turns, past.run) == (KEPT_OUTPUTS, ("search", "search"), 6, 6)
    assert past.answered(9, USER).run == 0
    assert NEW.begun(100).answered(20, USER).begun(150).grown == 30
    assert Past() == NEW


def test_what_is_foretold_is_the_same_alone_and_in_a_batch() -> None:
    for tokens in (False, True):
        found = model(tokens=tokens)
        assert found.foretell(CASES) == [found.foretell([one])[0] for one in CASES]
        assert found.foretell([]) == []


def test_a_sure_model_says_what_it_is_sure_of() -> None:
    (found,) = sure(5, ("search",), ends_in=3).foretell([case()])
    assert found.output.mean == pytest.approx(5, abs=0.01)
    assert 4.5 <= found.output.stat("p50") <= found.output.stat("p90") < 7.5
    assert found.output.known
    assert found.chance == pytest.approx(1.0)
    assert found.tools == {"search": pytest.approx(1.0)}
    (none,) = sure(5, ("search",)).foretell([case()])
    assert none.chance == pytest.approx(0.0, abs=1e-6)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=BUCKETS, max_size=BUCKETS).filter(lambda row: sum(row) > 0.1))
def test_quantiles_rise_and_lie_where_the_chances_are(row: list[float]) -> None:
    chances = np.array([row]) / sum(row)
    found = [float(quantiles(chances, share)[0]) for share in (0.0, 0.1, 0.5, 0.9, 0.99, 1.0)]
    assert found == sorted(found)
    assert found[0] >= 0.5 and found[-1] <= TOPS[-1] + 0.5
    below = float(chances[0][found[2] >= TOPS + 0.5].sum())
    assert below <= 0.5 + 1e-9 <= below + float(chances[0].max()) + 1e-6


@settings(deadline=None)
@given(st.integers(0, 10**7))
def test_a_bucket_holds_its_lengths(tokens: int) -> None:
    place = int(bucket_of(np.array([tokens]))[0])
    assert place == BUCKETS - 1 or tokens <= TOPS[place]
    assert place == 0 or tokens > TOPS[place - 1]


def test_tools_and_tokens_that_are_unknown_have_a_place() -> None:
    found = inputs([case(10, (1, "nosuch")), case(10, tokens=tuple(range(500)))], {"search": 3, USER: 2})
    assert list(found.tools[0]) == [OTHER_TOOL, 0]
    assert (found.tokens[0] == 0).all()
    assert (found.tokens[1] > 0).sum() == KEPT_TOKENS


def test_a_model_is_the_same_after_it_was_kept(tmp_path: Path) -> None:
    for tokens in (False, True):
        one = model(tokens=tokens)
        one.save(tmp_path / "sub" / "a.npz")
        other = LengthModel.load(tmp_path / "sub" / "a.npz")
        other.save(tmp_path / "b.npz")
        assert (tmp_path / "sub" / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
        assert other.foretell(CASES) == one.foretell(CASES)
        assert (other.about, other.tools, other.revision) == (one.about, one.tools, one.revision)
    assert model(1).revision != model(2).revision


def broken(tmp_path: Path, what: str) -> Path:
    path = tmp_path / "model.npz"
    model().save(path)
    data = path.read_bytes()
    with np.load(io.BytesIO(data)) as file:
        held = dict(file)
    about = json.loads(str(held["about"]))
    match what:
        case "missing":
            path.unlink()
        case "cut":
            path.write_bytes(data[:-200])
        case "text":
            path.write_text("not a model")
        case "empty":
            path.write_bytes(b"")
        case "version":
            np.savez(path, **held | {"about": np.array(json.dumps(about | {"format": 99}))})
        case "nan":
            np.savez(path, **held | {"w2": held["w2"] * np.nan})
        case "shape":
            np.savez(path, **held | {"w2": held["w2"][:3]})
        case "tools":
            np.savez(path, **held | {"about": np.array(json.dumps(about | {"tools": ["x"] * 500}))})
        case "about":
            np.savez(path, **held | {"about": np.array("[]")})
        case "pickle":
            np.savez(path, **held | {"w1": np.array([object()], dtype=object)})
    return path


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("missing", "can't be read: No such file"),
        ("cut", "is no predictor"),
        ("text", "is no predictor"),
        ("empty", "is no predictor"),
        ("version", "is a predictor of format 99, this lamps reads 1"),
        ("nan", "w2 holds what is no number"),
        ("shape", "w2 has shape"),
        ("tools", "its tools are not a list"),
        ("about", "is no predictor"),
        ("pickle", "is no predictor"),
    ],
)
def test_a_file_that_is_no_model_is_refused_in_a_sentence(tmp_path: Path, what: str, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        LengthModel.load(broken(tmp_path, what))


def test_weights_of_another_shape_are_no_model() -> None:
    about = model().about
    with pytest.raises(ValueError, match="tool_vectors has shape"):
        LengthModel(about, model().tools, arrays(tools=5))
