"""`lamps profile`: the profile it writes, what it says, and what goes wrong."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from engine_adapter.control.steps import About
from engine_adapter.runtime.activation import compiled
from engine_adapter.virtual.profile import load_profile
from engine_adapter.virtual.provenance import Identity
from lamps_cli.commands.profile import _SWAPS
from lamps_cli.exit_codes import ExitCode
from tests.cli.running import LAMPS, lamps
from tests.profiling.fake_engine import FakeEngine
from tests.profiling.made import ABOUT
from tests.profiling.test_fit import CPU
from tests.workload.fake_server import FakeServer, serving

SMALL: About = msgspec.structs.replace(ABOUT, kv_blocks=40, max_num_seqs=4, max_model_len=400)


def test_it_writes_what_it_has_measured(tmp_path: Path) -> None:
    with serving(FakeEngine(delay_s=0.0, about=SMALL)) as fake:
        run = lamps("profile", fake.url, "-o", tmp_path / "mine.yaml", "--html", tmp_path / "mine.html")
    assert run.returncode == ExitCode.OK, run.stderr
    profile = load_profile(tmp_path / "mine.yaml")
    assert profile.name == "mine" and profile.blocks == 40 and profile.max_num_seqs == 4
    assert profile.step.of(0, 0.0, 3, 900) == pytest.approx(CPU.of(0, 0.0, 3, 900), rel=0.05)
    assert profile.fit is not None and profile.fit.complete and profile.fit.r2 > 0.99
    # Measured by the clock: a request takes time outside the engine, but how much of it goes with its length is noise.
    assert profile.overhead_s + 100 * profile.overhead_token_s > 0.0
    for words in ("tiny on a processor, measured", "a token prefilled", "prefill and decode", "R² 1.000"):
        assert words in run.stdout
    assert "swap wasn't measured: no host memory was given" in run.stderr
    page = (tmp_path / "mine.html").read_text()
    assert page.count("<figure>") == 4 and "http" not in page.replace("http://www.w3.org", "")


def test_it_is_kept_where_serve_finds_it_and_can_be_simulated_with(tmp_path: Path) -> None:
    with serving(FakeEngine(delay_s=0.0, about=SMALL)) as fake:
        run = lamps("profile", fake.url, "--json", LAMPS_CACHE=str(tmp_path))
    assert run.returncode == ExitCode.OK, run.stderr
    answer = json.loads(run.stdout)
    path = Path(answer["path"])
    assert path.parent == tmp_path / "profiles" and "`lamps serve` begins with it" in run.stderr
    assert load_profile(path).engine == Identity(**SMALL.identity)
    assert answer["ended"] == "complete" and answer["phases"]["done"] == answer["phases"]["planned"]
    assert answer["profile"]["fit"]["kinds"]["decode"]["steps"] > 20


@pytest.mark.parametrize(
    ("server", "words", "code"),
    [
        (FakeServer(), "it is not scheduled by lamps", ExitCode.UNREACHABLE),
        (FakeEngine(api_key="secret"), "the API key is wrong", ExitCode.UNREACHABLE),
        (FakeEngine(about=msgspec.structs.replace(ABOUT, kv_blocks=1)), "too little KV memory", ExitCode.FINDINGS),
        (FakeEngine(cut_after=0), "the answer ended early", ExitCode.FINDINGS),
    ],
    ids=["plain vLLM", "wrong key", "too little memory", "requests fail"],
)
def test_a_server_that_cant_be_measured_is_told_in_a_sentence(
    server: FakeServer, words: str, code: ExitCode, tmp_path: Path
) -> None:
    with serving(replace(server)) as fake:
        run = lamps("profile", fake.url, "-o", tmp_path / "mine.yaml", "--api-key", "mine")
    assert run.returncode == code, run.stderr
    assert run.stderr.startswith("error: ") and words in run.stderr
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "mine.yaml").exists()


def test_no_server_and_no_folder(tmp_path: Path) -> None:
    run = lamps("profile", "http://127.0.0.1:9", "-o", tmp_path / "mine.yaml")
    assert run.returncode == ExitCode.UNREACHABLE and "nothing answers at http://127.0.0.1:9" in run.stderr
    run = lamps("profile", "-o", tmp_path / "none" / "mine.yaml")
    assert run.returncode == ExitCode.USAGE and "there is no folder" in run.stderr


def test_flags_of_a_server_need_a_model(tmp_path: Path) -> None:
    run = lamps("profile", "--max-model-len", "100", "-o", tmp_path / "mine.yaml")
    assert run.returncode == ExitCode.USAGE and "flags of `lamps serve` need --model" in run.stderr


def test_a_server_that_doesnt_start_is_told(tmp_path: Path) -> None:
    run = lamps("profile", "--model", tmp_path / "none", "-o", tmp_path / "mine.yaml")
    assert run.returncode == ExitCode.UNREACHABLE and "the server ended with status" in run.stderr, run.stderr


def test_the_policy_of_a_server_that_is_started_swaps() -> None:
    policy = compiled(_SWAPS, "measured.lamps", ())
    assert policy.name == "measured" and "on call" in policy.statements


def test_interrupted_it_keeps_what_was_measured(tmp_path: Path) -> None:
    with serving(FakeEngine(delay_s=0.05)) as fake:
        run = subprocess.Popen(
            [LAMPS, "profile", fake.url, "-o", tmp_path / "mine.yaml"], stderr=subprocess.PIPE, text=True
        )
        end = time.monotonic() + 30
        while len(fake.steps) < 300 and time.monotonic() < end:
            time.sleep(0.02)
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=30)
    assert run.returncode == ExitCode.INTERRUPTED, said
    assert "interrupted: the profile is of" in said
    profile = load_profile(tmp_path / "mine.yaml")
    assert profile.fit is not None and not profile.fit.complete


def test_time_that_is_up_ends_it(tmp_path: Path) -> None:
    with serving(FakeEngine(delay_s=0.02)) as fake:
        run = lamps("profile", fake.url, "-o", tmp_path / "mine.yaml", "--seconds", "2")
    assert run.returncode == ExitCode.OK, run.stderr
    assert "time is up: the profile is of" in run.stderr
