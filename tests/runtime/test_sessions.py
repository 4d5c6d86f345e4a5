"""Sessions are found again by id and by prefix, never mixed up, never kept for ever."""

from __future__ import annotations

import random

import pytest

from engine_adapter.runtime.sessions import Session, Sessions

SIZE = 16


def hashes(tokens: list[int]) -> list[bytes]:
    """Chained hashes of the full blocks, as an engine has them."""
    chain, found = 0, []
    for start in range(0, len(tokens) // SIZE * SIZE, SIZE):
        chain = hash((chain, *tokens[start : start + SIZE]))
        found.append(chain.to_bytes(8, "big", signed=True))
    return found


def text(seed: int, count: int) -> list[int]:
    rng = random.Random(seed)
    return [rng.randrange(50_000) for _ in range(count)]


def turn(
    sessions: Sessions,
    prompt: list[int],
    answer: list[int],
    now: float = 0.0,
    name: str | None = None,
    tenant: str = "",
) -> Session:
    """One whole turn."""
    session = sessions.find(name, tenant, hashes(prompt), now, prompt)
    sessions.begin_turn(session, now)
    sessions.remember_prompt(session, hashes(prompt), prompt)
    sessions.end_turn(session, hashes(prompt + answer), now)
    return session


@pytest.fixture
def sessions() -> Sessions:
    return Sessions(SIZE)


def test_by_id(sessions: Sessions) -> None:
    first = turn(sessions, text(1, 40), [], name="a")
    assert turn(sessions, text(2, 40), [], now=5.0, name="a") is first
    assert (first.turn, first.arrival, first.key) == (2, 0.0, "a")
    assert turn(sessions, text(2, 40), [], name="b") is not first


def test_ids_of_different_tenants_are_different_sessions(sessions: Sessions) -> None:
    keys = {
        turn(sessions, [], [], name=n, tenant=t).key for n, t in (("a", ""), ("a", "x"), ("b/a", "x"), ("a", "x/b"))
    }
    assert len(keys) == 4


def test_a_key_is_never_given_twice(sessions: Sessions) -> None:
    keys = [turn(sessions, text(s, 40), [], name=n).key for s, n in ((1, None), (2, "#1"), (3, "#2"), (4, None))]
    assert len(set(keys)) == 4


def test_by_prefix_with_the_answer_repeated(sessions: Sessions) -> None:
    prompt, answer = text(1, 100), text(2, 50)
    first = turn(sessions, prompt, answer)
    assert turn(sessions, prompt + answer + text(3, 30), []) is first


def test_by_prefix_with_the_answer_spelled_differently(sessions: Sessions) -> None:
    prompt = text(1, 100)
    first = turn(sessions, prompt, text(2, 50))
    assert turn(sessions, prompt + text(4, 80), []) is first


def test_the_generation_prompt_may_not_come_back(sessions: Sessions) -> None:
    prompt = text(1, 97)  # six full blocks and a token: less slack, five blocks and a tail
    first = turn(sessions, prompt, [])
    assert turn(sessions, prompt[:-4] + text(4, 80), []) is first


def test_a_shared_system_prompt_is_not_a_session(sessions: Sessions) -> None:
    system = text(1, 64)
    first = turn(sessions, system + text(2, 9), text(3, 40))
    assert turn(sessions, system + text(4, 9), []) is not first


def both_at_once(sessions: Sessions, *prompts: list[int]) -> list[Session]:
    """Turns that overlap, so that none is taken for the follow-up of another; the last ends first."""
    found = []
    for prompt in prompts:
        session = sessions.find(None, "", hashes(prompt), 0.0, prompt)
        sessions.begin_turn(session, 0.0)
        sessions.remember_prompt(session, hashes(prompt), prompt)
        found.append(session)
    for session, prompt in reversed(list(zip(found, prompts, strict=True))):
        sessions.end_turn(session, hashes(prompt), 1.0)
    return found


def test_the_longest_tail_wins(sessions: Sessions) -> None:
    system, question = text(1, 64), text(2, 12)
    short, long = both_at_once(sessions, system + question[:6], system + question)
    assert turn(sessions, system + question + text(3, 40), []) is long
    assert turn(sessions, system + question[:6] + text(3, 40), []) is short


def test_of_those_alike_the_longest_paused_is_taken(sessions: Sessions) -> None:
    prompt = text(1, 100)
    both = both_at_once(sessions, prompt, prompt)
    follow_up = prompt + text(2, 20)
    assert sessions.find(None, "", hashes(follow_up), 2.0, follow_up) is both[1]


def test_the_same_prompt_again_is_another_session(sessions: Sessions) -> None:
    prompt = text(1, 100)
    assert turn(sessions, prompt, text(2, 60)) is not turn(sessions, prompt, text(2, 60))


def test_a_session_in_a_turn_is_not_found(sessions: Sessions) -> None:
    prompt = text(1, 100)
    first = turn(sessions, prompt, [])
    sessions.begin_turn(first, 1.0)
    longer = prompt + text(2, 50)
    assert sessions.find(None, "", hashes(longer), 1.0, longer) is not first


def test_another_tenants_prefix_is_not_found(sessions: Sessions) -> None:
    prompt = text(1, 100)
    longer = prompt + text(2, 50)
    assert turn(sessions, prompt, [], tenant="x") is not turn(sessions, longer, [], tenant="y")


def test_a_named_session_is_not_found_by_prefix(sessions: Sessions) -> None:
    prompt = text(1, 100)
    assert turn(sessions, prompt, [], name="a") is not turn(sessions, prompt + text(2, 50), [])


def test_parallel_requests_of_one_id_are_one_session_in_a_turn(sessions: Sessions) -> None:
    session = turn(sessions, [], [], name="a")
    sessions.begin_turn(session, 0.0)
    sessions.begin_turn(session, 0.0)
    sessions.end_turn(session, [], 1.0)
    assert session.in_turn
    sessions.end_turn(session, [], 1.0)
    assert not session.in_turn


def test_expiry_takes_the_idle_only(sessions: Sessions) -> None:
    idle = turn(sessions, text(1, 100), [], now=0.0)
    busy = sessions.find("busy", "", [], 0.0)
    sessions.begin_turn(busy, 0.0)
    assert sessions.expire(3599.0) == []
    assert sessions.expire(3600.0) == [idle]
    assert sessions.get(busy.key) is busy
    sessions.end_turn(busy, [], 3600.0)
    assert sessions.expire(9999.0) == [busy]


def test_memory_is_bounded_and_nothing_is_left() -> None:
    sessions = Sessions(SIZE, most=50)
    rng = random.Random(3)
    for i in range(2000):
        prompt = text(rng.randrange(400), 40)
        turn(sessions, prompt, text(i, 20), now=float(i), name=rng.choice([None, f"c{i % 90}"]))
        sessions.expire(float(i))
        assert len(sessions) <= 50
    sessions.expire(1e9)
    assert len(sessions) == 0
    assert not (sessions._ends or sessions._idle or sessions._by_client or sessions._by_key)


def test_a_session_forgotten_in_its_turn_stays_forgotten(sessions: Sessions) -> None:
    session = sessions.find(None, "", hashes(text(1, 100)), 0.0, text(1, 100))
    sessions.begin_turn(session, 0.0)
    sessions.forget(session)
    sessions.end_turn(session, hashes(text(1, 100)), 1.0)
    assert len(sessions) == 0
    assert not sessions._ends
