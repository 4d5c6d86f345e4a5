"""The file that is written is the profile that is read, and says where it is from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine_adapter.profiling.document import as_yaml, overheads, profile_of
from engine_adapter.profiling.fit import fit_steps
from engine_adapter.profiling.measure import Measured, Seen, Swapped
from engine_adapter.virtual.profile import load_profile
from engine_adapter.virtual.provenance import Identity
from tests.profiling.made import ABOUT, steps
from tests.profiling.test_fit import CPU


def alone(prompt: int, beyond_s: float) -> Seen:
    return Seen("prefill", 1, 4, float(prompt), 1.0, 0.01 + beyond_s, 0.01)


def measured(**changes: object) -> Measured:
    made = Measured(ABOUT, "http://127.0.0.1:8000", "fcfs", steps=steps(CPU, 600), planned=40, done=40, seconds=61.0)
    made.seen = [alone(prompt, 0.004 + 1e-6 * prompt) for prompt in (16, 256, 1024)]
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def test_it_round_trips(tmp_path: Path) -> None:
    made = measured(swapped=Swapped(10_000, 0.5, 4096))
    profile = profile_of(made, fit_steps(made.steps), "mine", "2030-01-02")
    file = tmp_path / "mine.yaml"
    file.write_text(as_yaml(profile))
    again = load_profile(file)
    assert again.model_dump(exclude={"source"}) == profile.model_dump(exclude={"source"})
    assert again.source.split() == profile.source.split()
    assert again.step.step_s == pytest.approx(CPU.step_s, rel=0.01)
    assert again.swap_token_s == pytest.approx(5e-5)
    assert again.host_bytes == 4096 * 512
    assert again.blocks == 512
    assert again.engine == Identity(**ABOUT.identity)
    assert again.fit is not None and again.fit.r2 > 0.99
    for fact in ("2030-01-02", "fcfs", "600 steps", "40 of 40 phases"):
        assert fact in again.source


def test_what_was_cut_short_or_not_moved_is_said() -> None:
    made = measured(ended="interrupted", done=7, swapped=Swapped(why_not="no host memory"))
    profile = profile_of(made, fit_steps(made.steps, complete=False), "mine", "2030-01-02")
    assert "a part of the load: interrupted" in profile.source
    assert "Swap wasn't measured: no host memory" in profile.source
    assert profile.fit is not None and not profile.fit.complete
    assert profile.swap_token_s is None


def test_what_lies_before_the_engine_is_of_requests_alone_and_of_bursts() -> None:
    burst = replace(alone(64, 8.5 * (0.004 + 1e-6 * 64)), clients=16, requests=16)
    following = replace(alone(64, 3.0), clients=32, requests=192)
    base_s, token_s = overheads([*measured().seen, burst, following])
    assert base_s == pytest.approx(0.004, rel=1e-6)
    assert token_s == pytest.approx(1e-6, rel=1e-6)
    assert overheads([following]) == (0.0, 0.0)


def test_a_profile_is_kept_by_what_times_depend_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMPS_CACHE", str(tmp_path))
    mine = Identity(model="/models/tiny one", device="x")
    other = mine.model_copy(update={"dtype": "float32"})
    assert mine.kept_at().parent == tmp_path / "profiles"
    assert mine.kept_at().name.startswith("tiny-one-")
    assert mine.kept_at() != other.kept_at()
    assert mine.differing(other) == ["dtype: float32, not "]
