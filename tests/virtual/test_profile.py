"""Profiles: the shipped ones load and mean what they say, broken ones are refused by field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from engine_adapter.virtual.profile import Profile, ProfileError, load_profile, shipped
from tests.virtual.small import SMALL


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_profile_loads_under_its_own_name_and_says_where_its_numbers_are_from(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert len(profile.source) > 200
    assert profile.longest == profile.max_model_len


def test_the_step_of_the_mars_profile_is_its_formula() -> None:
    step = load_profile("gptj-6b-a100").step
    assert step.of(prefilled=300, area=1e6, decoding=84, context=50_000) == pytest.approx(0.0408e-3 * 384 + 16.92e-3)


def test_below_the_floor_tokens_cost_nothing() -> None:
    step = load_profile("llama3-8b-h100").step
    assert step.of(0, 0.0, 1, 0) == step.of(0, 0.0, 100, 0) < step.of(0, 0.0, 200, 0)
    assert step.of(0, 0.0, 1, 1000) > step.of(0, 0.0, 1, 0)


def test_memory_is_what_weights_leave() -> None:
    memory = {"device_bytes": 1e6, "share": 0.5, "weights_bytes": 3e5, "other_bytes": 1e5}
    given = {key: value for key, value in SMALL.items() if key != "kv_tokens"}
    assert Profile.model_validate(given | {"memory": memory}).blocks == int(1e5 // (64 * 16))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"token_bytes": None}, "token_bytes is None"),
        ({"token_bytes": 66}, "token_bytes is 66: input should be a multiple of 4"),
        ({"blok_size": 16}, "blok_size is no field of a profile: did you mean block_size?"),
        ({"step": {"stp_s": 0.1}}, "step.stp_s is no field of a profile: did you mean step_s?"),
        ({"step": {"step_s": -1}}, "step.step_s is -1: input should be greater than or equal to 0"),
        ({"step": {"decode_seq_s": 0.1}}, "step: a step must take time: step_s or floor_s above 0"),
        ({"kv_blocks": 7}, "the KV memory is given once: as kv_tokens, kv_blocks or memory"),
        ({"kv_tokens": 5}, "no KV memory is left: less than one block"),
        ({"max_num_batched_tokens": 8}, "max_num_batched_tokens (8) is less than max_num_seqs (16)"),
    ],
)
def test_what_is_wrong_is_said_by_field(change: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(SMALL | change))
    with pytest.raises(ProfileError) as raised:
        load_profile(file)
    assert str(raised.value).startswith(f"{file}: ")
    assert sentence in str(raised.value)


def test_every_problem_is_named_at_once(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: x\ntoken_bytes: many\n")
    with pytest.raises(ProfileError) as raised:
        load_profile(file)
    for field in ("title is missing", "source is missing", "step is missing", "token_bytes is 'many'"):
        assert field in str(raised.value)


@pytest.mark.parametrize(("text", "sentence"), [("a: [", "is not YAML"), ("- 1", "is not a profile")])
def test_what_is_no_profile_at_all(text: str, sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ProfileError, match=sentence):
        load_profile(file)


def test_an_unknown_name_gets_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"did you mean gptj-6b-a100\?"):
        load_profile("gptj-6b-a10")
    with pytest.raises(ProfileError, match="shipped profiles are gptj-6b-a100, llama3-8b-h100, vicuna-13b-a100"):
        load_profile(tmp_path / "none.yaml")
