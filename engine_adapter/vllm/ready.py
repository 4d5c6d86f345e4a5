"""Says once that a server answers, and watches its policy's file from then on."""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from argparse import Namespace

from engine_adapter.vllm import compat_api
from engine_adapter.vllm.filewatch import FileWatch, sender
from engine_adapter.vllm.plan import Plan
from engine_adapter.vllm.startlog import StartLog

READY_POLL_S = 0.25


def announce_when_ready(plan: Plan, args: Namespace, log: StartLog, started: float, name: str) -> None:
    """Say so, once, when the server answers; from a daemon thread, since vLLM keeps this one."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(args.host, args.host)
    scheme = "https" if args.ssl_certfile else "http"
    url = f"{scheme}://[{args.host}]:{args.port}" if ":" in args.host else f"{scheme}://{args.host}:{args.port}"

    def watch() -> None:
        while not _is_healthy(scheme, host, args.port):
            time.sleep(READY_POLL_S)
        by = f"policy {plan.policy.name} (revision {plan.policy.revision})" if plan.policy else "vLLM's own scheduler"
        took = time.monotonic() - started
        log.release()
        log.say(f"lamps: {name} with {by} on {url}/v1, ready after {took:.0f} s")
        near = f"{scheme}://[{host}]:{args.port}" if ":" in host else f"{scheme}://{host}:{args.port}"
        if plan.profile is not None and (said := _profile_said(near, next(iter(compat_api.api_keys(args)), None))):
            log.say(f"lamps: {said}")
        if plan.policy is not None and plan.watch is not None:
            key = next(iter(compat_api.api_keys(args)), None)
            path = plan.policy.path
            FileWatch(path, sender(near, path, plan.watch.params, key), log.say).run()

    threading.Thread(target=watch, name="lamps-ready", daemon=True).start()


def _profile_said(url: str, key: str | None) -> str:
    """What the engines say of the profile that their step costs began with; "" where nothing is said or had."""
    from engine_adapter.control.client import Unreachable, fetch_status

    try:
        return next((engine.profile for engine in fetch_status(url, key).engines if engine.profile), "")
    except Unreachable:
        return ""


def _is_healthy(scheme: str, host: str, port: int) -> bool:
    connection = (
        http.client.HTTPConnection(host, port, timeout=2)
        if scheme == "http"
        # It is our own server that is asked, and only whether it is up: its certificate names some other host.
        else http.client.HTTPSConnection(host, port, timeout=2, context=ssl._create_unverified_context())
    )
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
