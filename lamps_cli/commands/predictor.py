"""`lamps predictor`: trains the model of lengths, says how well one foretells, and what one is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lamps_cli.completing import traces
from lamps_cli.errors import Failure
from lamps_cli.output import talk, warn, write, write_json
from lamps_cli.trace_file import save

if TYPE_CHECKING:
    from engine_adapter.runtime.length_model import LengthModel
    from engine_adapter.training.material import Material
    from engine_adapter.training.training import Trained

_FILE = click.Path(dir_okay=False, path_type=Path)
_AS_JSON = click.option("--json", "as_json", is_flag=True, help="As JSON.")
# Epochs between two words about the progress.
_TOLD_EVERY = 10


@click.group()
def predictor() -> None:
    """Train, judge and show the model that foretells lengths.

    It says how long an answer will be, how long the next one, and which call the turn ends in. Until there is one, a
    server foretells them by what it learns online, and goes on learning the tools' durations so.
    """


@predictor.command()
@click.argument("source", metavar="TRACE|LOG", shell_complete=traces)
@click.option("-o", "--out", type=_FILE, metavar="FILE", help="The model.  [default: where `lamps serve` finds it]")
@click.option(
    "--test",
    type=click.FloatRange(0.05, 0.8),
    default=0.2,
    show_default=True,
    metavar="SHARE",
    help="Of the sessions, kept from training and judged by.",
)
@click.option("--held-out", type=_FILE, metavar="FILE", help="Write the sessions that are kept from training: a trace.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the split and of the training.")
@_AS_JSON
def train(source: str, out: Path | None, test: float, held_out: Path | None, seed: int, as_json: bool) -> None:
    """Train a model on recorded sessions, and judge it by sessions that it has not seen.

    SOURCE is a shipped trace, a trace file (as `lamps record` writes), a decision log (`lamps serve --decisions`) or a
    record of steps (`lamps serve --record-steps`). Only the last has the prompts' tokens; on the others the model
    learns from the sessions' history: lengths, turns, calls and their times. Minutes at most, on one core.

    It is judged beside the online statistics, the mean of the turn's class and the session's last value. Where it loses
    the table says so; a server sets a model aside while its own statistics foretell better.

    \b
    lamps predictor train augmented-multi
    lamps predictor train recorded.jsonl.gz --out mine.npz
    """
    from engine_adapter.runtime.length_model import default_path
    from engine_adapter.training.material import MaterialError
    from engine_adapter.training.training import train as trained
    from lamps_cli.predictor_view import document, table

    material = _material(source)
    sizes = f"{len(material.sessions):,} sessions, {material.turns:,} turns"
    talk(f"{material.name}, a {material.kind}: {sizes}; {_seen(material)}")
    if material.numbers_tools:
        warn("its tools are numbered: a server's own are unknown to the model (`lamps record --tool-names` keeps them)")
    try:
        found = trained(material, test, seed, _progress)
    except ImportError as missing:
        raise Failure(
            f"training needs torch: {missing}", "it comes with vLLM: pip install 'vllm-lamps[engine]'"
        ) from None
    except MaterialError as problem:
        raise Failure(str(problem)) from None
    path = (out or default_path()).expanduser()
    _save(found, path)
    if held_out is not None:
        save(held_out, found.split.test)
    if as_json:
        write_json(document(found.model, found.scores) | {"path": str(path)})
        return
    write(table(found.scores))
    talk(f"wrote {path}" + ("" if out else ": `lamps serve` uses it"))


@predictor.command("eval")
@click.argument("source", metavar="TRACE|LOG", shell_complete=traces)
@click.option("--predictor", "file", type=_FILE, metavar="FILE", help="The model.  [default: that of `lamps serve`]")
@_AS_JSON
def eval_(source: str, file: Path | None, as_json: bool) -> None:
    """Judge a model by a part of recorded sessions; of what it was trained on, by the part that it has not seen.

    The mean of the class is that of the other part.
    """
    from engine_adapter.training.material import MaterialError
    from engine_adapter.training.training import judge
    from lamps_cli.predictor_view import document, table

    model, material = _model(file), _material(source)
    try:
        found = judge(model, material)
    except MaterialError as problem:
        raise Failure(str(problem)) from None
    if as_json:
        write_json(document(model, found))
    else:
        write(table(found))


@predictor.command()
@click.argument("file", required=False, type=_FILE)
@_AS_JSON
def show(file: Path | None, as_json: bool) -> None:
    """Say what a model was trained on, and how it fared on the sessions that were kept from it."""
    from engine_adapter.training.scores import parsed
    from lamps_cli.predictor_view import described, document, table

    model = _model(file)
    scores = parsed(model.about.scores)
    if as_json:
        write_json(document(model, scores))
        return
    write(described(model))
    if scores is not None:
        write("\n" + table(scores))


def _material(source: str) -> Material:
    from engine_adapter.control.step_file import RecordError
    from engine_adapter.training.material import MaterialError, load_material
    from engine_adapter.workload.trace import TraceError

    try:
        material = load_material(source)
    except (MaterialError, TraceError, RecordError) as problem:
        raise Failure(str(problem)) from None
    if material.cut:
        warn(f"{material.cut:,} lines of {source} are left out: they tell of no turn")
    return material


def _seen(material: Material) -> str:
    if material.tokens:
        return "the model reads the prompts' last tokens and the sessions' history"
    return "it has no tokens: the model learns from the sessions' history alone"


def _model(file: Path | None) -> LengthModel:
    from engine_adapter.runtime.length_model import LengthModel, ModelError, default_path

    path = file or default_path()
    if file is None and not path.exists():
        raise Failure(f"no model has been trained: there is no {path}", "lamps predictor train TRACE")
    try:
        return LengthModel.load(path)
    except ModelError as problem:
        raise Failure(str(problem)) from None


def _progress(epoch: int, loss: float) -> None:
    if epoch % _TOLD_EVERY == 0:
        talk(f"epoch {epoch}, loss {loss:.3f} on the sessions to stop by")


def _save(found: Trained, path: Path) -> None:
    try:
        found.model.save(path)
    except OSError as problem:
        raise Failure(f"can't write {path}: {problem.strerror}") from None
