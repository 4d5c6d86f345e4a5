"""The keys, each with an id by which it can be given other keys, and the commands of the palette."""

from __future__ import annotations

from textual.binding import Binding, BindingType

BINDINGS: list[BindingType] = [
    Binding("q", "quit", "quit", id="quit"),
    Binding("question_mark,f1", "help_screen", "help", key_display="?", id="help"),
    Binding("tab", "next_view(1)", "next", show=False, id="next", priority=True),
    Binding("shift+tab", "next_view(-1)", "previous", show=False, id="previous", priority=True),
    Binding("1", "view('overview')", "overview", show=False, id="overview"),
    Binding("2", "view('queue')", "queue", show=False, id="queue"),
    Binding("3", "view('calls')", "calls", show=False, id="calls"),
    Binding("4", "view('policy')", "policy", show=False, id="policy"),
    Binding("5", "view('decisions')", "decisions", show=False, id="decisions"),
    Binding("6", "view('predictors')", "predictors", show=False, id="predictors"),
    Binding("7", "view('fleet')", "fleet", show=False, id="fleet"),
    Binding("p,space", "pause", "pause", key_display="p", id="pause"),
    Binding("slash", "filter", "filter", key_display="/", id="filter"),
    Binding("escape", "back", "back", show=False, id="back"),
    Binding("e", "engine(1)", "next engine", show=False, id="engine"),
    Binding("E", "engine(-1)", "previous engine", show=False, id="engine_back"),
    Binding("ctrl+o", "jump", "jump", show=False, id="jump"),
    Binding("r", "record", "record", id="record"),
    Binding("t", "theme", "theme", show=False, id="theme"),
    Binding("right", "step(1)", "one frame on", show=False, id="step"),
    Binding("left", "step(-1)", "one frame back", show=False, id="step_back"),
    Binding("shift+right", "skip(10)", "10 s on", show=False, id="skip"),
    Binding("shift+left", "skip(-10)", "10 s back", show=False, id="skip_back"),
    Binding("plus,equals_sign", "faster(1)", "faster", show=False, id="faster"),
    Binding("minus", "faster(-1)", "slower", show=False, id="slower"),
    Binding("at", "jump_time", "go to a time", show=False, id="jump_time"),
]

# Of the policy screen.
POLICY_BINDINGS: list[BindingType] = [
    Binding("m", "change('params')", "params", id="policy.params"),
    Binding("l", "change('reload')", "reload", id="policy.reload"),
    Binding("w", "change('shadow')", "shadow", id="policy.shadow"),
    Binding("o", "change('off')", "off/on", id="policy.off"),
]

COMMANDS = (
    ("Help", "All keys", "help_screen"),
    ("Jump", "A letter on every place", "jump"),
    ("Pause", "Freeze the screen, or the recording", "pause"),
    ("Record", "Record into a file, or end it", "record"),
    ("Filter", "Only rows with these words", "filter"),
    ("Next engine", "Look at another engine", "engine(1)"),
    ("Go to a time", "Of a recording", "jump_time"),
    ("Params", "Other values for the policy's params", "change('params')"),
    ("Reload", "Another policy, tried first", "change('reload')"),
    ("Shadow", "Ask a policy beside the one in force", "change('shadow')"),
    ("Policy off or on", "Set it aside, or put it back", "change('off')"),
    ("Quit", "Leave", "quit"),
)

# In the order of the help, by heading.
HEADINGS = {
    "Screens": ("overview", "queue", "calls", "policy", "decisions", "predictors", "fleet", "next", "previous", "jump"),
    "Tables": (
        "rows.down", "rows.up", "rows.page_down", "rows.page_up", "rows.first", "rows.last", "rows.open", "rows.sort",
        "rows.sort_back", "filter", "back",
    ),
    "Policy (asks first)": ("policy.params", "policy.reload", "policy.shadow", "policy.off"),
    "Time": ("pause", "step", "step_back", "skip", "skip_back", "faster", "slower", "jump_time", "record"),
    "Else": ("engine", "engine_back", "theme", "help", "quit"),
}  # fmt: skip


def ids() -> set[str]:
    """All that can be given other keys."""
    return {name for names in HEADINGS.values() for name in names}
