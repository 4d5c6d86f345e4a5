"""An agent of the OpenAI Agents SDK with one tool and a session, over the Responses API or chat completions.

OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=none python agents_sdk.py responses|chat
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any, Literal

from agents import (
    Agent,
    ModelSettings,
    RunHooks,
    Runner,
    SQLiteSession,
    function_tool,
    set_default_openai_api,
    set_tracing_disabled,
)

QUESTIONS = ("When does the train to Basel leave?", "And the one to Turin?")
DEPARTURES = {"Basel": "8:12", "Turin": "9:40"}


@function_tool
async def departure(city: Literal["Basel", "Turin"]) -> str:
    """The time at which the next train to a city leaves."""
    await asyncio.sleep(0.5)
    return DEPARTURES[city]


class OneCall(RunHooks[Any]):
    """For each question the model has to call once, and then may not: left alone a small one never stops."""

    async def on_agent_start(self, context: Any, agent: Any) -> None:
        agent.model_settings.tool_choice = "required"

    async def on_tool_end(self, context: Any, agent: Any, tool: Any, result: Any) -> None:
        agent.model_settings.tool_choice = "none"


async def main(api: str) -> None:
    set_tracing_disabled(True)
    set_default_openai_api("responses" if api == "responses" else "chat_completions")
    agent = Agent(
        name="station",
        instructions=f"You stand at the counter of a station, window {api}, and answer briefly.",
        model="smollm2",
        tools=[departure],
        model_settings=ModelSettings(temperature=0, max_tokens=60),
        reset_tool_choice=False,
    )
    session = SQLiteSession("traveller")
    for question in QUESTIONS:
        if api == "chat":
            running = Runner.run_streamed(agent, question, session=session, hooks=OneCall())
            async for _ in running.stream_events():
                pass
            answer = running.final_output
        else:
            answer = (await Runner.run(agent, question, session=session, hooks=OneCall())).final_output
        print(f"{question} {answer}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
