"""Sends sessions of several turns through the router, and tells which replica answered.

    python check.py [URL]

Exits with 1 when a session was answered by two replicas, or when all sessions were by one.
"""

from __future__ import annotations

import sys

import httpx

SESSIONS, TURNS = 16, 3


def main(url: str) -> int:
    with httpx.Client(base_url=url, timeout=300) as http:
        model = http.get("/v1/models").raise_for_status().json()["data"][0]["id"]
        seen: dict[str, list[str]] = {}
        for turn in range(1, TURNS + 1):
            for number in range(SESSIONS):
                session = f"session-{number}"
                body = {"model": model, "prompt": "Once upon a time " * 20 * turn, "max_tokens": 4}
                answer = http.post("/v1/completions", json=body, headers={"X-Session-ID": session})
                seen.setdefault(session, []).append(answer.raise_for_status().headers["X-Replica"])
    moved = [session for session, replicas in seen.items() if len(set(replicas)) > 1]
    shares = sorted({replica for replicas in seen.values() for replica in replicas})
    for replica in shares:
        print(f"{replica}: {sum(replicas[0] == replica for replicas in seen.values())} sessions")
    print(f"{len(moved)} of {SESSIONS} sessions were answered by more than one replica")
    return 1 if moved or len(shares) < 2 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"))
