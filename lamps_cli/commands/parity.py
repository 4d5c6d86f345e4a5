"""`lamps parity`: a server's recorded steps, decided again without its model.

For whoever works on lamps, or looks into a user's report: a record made elsewhere shows here what was decided there.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import click

from lamps_cli.errors import Failure
from lamps_cli.exit_codes import ExitCode
from lamps_cli.output import talk, wants_colour, write, write_json


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def parity(file: Path, as_json: bool) -> int:
    """Replay FILE, a record of a server's steps, and find the first other decision.

    `lamps serve --record-steps FILE` writes such a record, also with every prompt and answer in it as token ids. The
    replay needs no model: vLLM's scheduler with the recorded policy gets the same requests, aborts, ends of turns,
    clock readings and tokens. Exit status 1 if it decides otherwise than the server did.
    """
    logging.disable(logging.WARNING)  # what vLLM says about this machine is of no interest here
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from engine_adapter.control.step_file import Record, RecordError

    try:
        with Record(file):  # before the seconds that vLLM takes
            pass
        from engine_adapter.virtual.replay import ReplayError, replay
    except RecordError as problem:
        raise Failure(str(problem)) from problem
    except ImportError as problem:
        raise Failure(f"vLLM can't be imported ({problem})", "`lamps doctor` says what is missing") from problem
    try:
        found = replay(file, lambda calls: talk(f"{calls} calls ...") if wants_colour() else None)
    except (RecordError, ReplayError) as problem:
        raise Failure(str(problem)) from problem
    if as_json:
        from lamps_cli.parity_view import document

        write_json(document(found))
    else:
        from lamps_cli.parity_view import show

        write(show(found, colour=wants_colour()))
    return ExitCode.FINDINGS if found.difference is not None else ExitCode.OK
