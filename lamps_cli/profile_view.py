"""A measured profile on the terminal and as JSON: what things take, and how well the model meets what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamps_cli.metrics import number

if TYPE_CHECKING:
    from engine_adapter.profiling.measure import Measured
    from engine_adapter.virtual.profile import Profile

_TERMS = {
    "step_s": "a step",
    "floor_s": "a step's arithmetic, at least",
    "token_s": "a token of the batch, beyond that",
    "prefill_token_s": "a token prefilled",
    "prefill_context_s": "a token prefilled, for each one before it",
    "prefill_seq_s": "a request prefilled in a step",
    "decode_seq_s": "a sequence that decodes",
    "context_token_s": "a token of its context",
    "request_s": "a request, of the engine's time",
    "wake_s": "a step after idleness, beside the above",
}


def render(profile: Profile, measured: Measured) -> str:
    """The figures for a person; terms that are nothing are left out."""
    lines = [profile.title, _load(measured), "", f"{'takes':<44}{'us':>12}"]
    terms = profile.step.model_dump()
    lines += [_row(title, terms[name]) for name, title in _TERMS.items() if terms[name]]
    lines.append(_row("a request, outside the engine", profile.overhead_s))
    if profile.overhead_token_s:
        lines.append(_row("  and a token of its prompt", profile.overhead_token_s))
    if profile.swap_token_s is not None:
        lines.append(_row("a token moved to host memory or back", profile.swap_token_s))
    assert profile.fit is not None
    lines += [
        "",
        f"{'steps met, of a fifth kept from the fit':<44}{'steps':>12}{'error p50':>12}{'p90':>9}{'in all':>9}",
    ]
    for kind, quality in profile.fit.kinds.items():
        errors = f"{quality.error_p50:>12.1%}{quality.error_p90:>9.1%}{quality.sum_error:>+9.1%}"
        lines.append(f"  {_KINDS[kind]:<42}{quality.steps:>12,}{errors}")
    lines.append(f"R² {profile.fit.r2:.3f}")
    return "\n".join(lines)


def document(profile: Profile, measured: Measured) -> dict[str, Any]:
    """The same for machines; *seen*: each phase's requests from both ends."""
    return {
        "profile": profile.model_dump(mode="json", exclude_none=True),
        "ended": measured.ended,
        "problem": measured.problem,
        "seconds": measured.seconds,
        "phases": {"done": measured.done, "planned": measured.planned},
        "steps": len(measured.steps),
        "seen": [
            {
                "kind": one.kind,
                "clients": one.clients,
                "requests": one.requests,
                "prompt_tokens": one.prompt,
                "output_tokens": one.output,
                "client_s": one.client_s,
                "engine_s": one.engine_s,
            }
            for one in measured.seen
        ],
    }


_KINDS = {"prefill": "prefill alone", "decode": "decode alone", "both": "prefill and decode"}


def _load(measured: Measured) -> str:
    phases = f"{measured.done} of {measured.planned} phases of load"
    return f"{len(measured.steps):,} steps in {measured.seconds:.0f} s, {phases}"


def _row(title: str, seconds: float) -> str:
    return f"  {title:<42}{number(1e6 * seconds):>12}"
