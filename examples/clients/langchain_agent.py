"""A LangChain agent with one tool, which it calls once for each question.

OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=none python langchain_agent.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from langchain.agents import create_agent
from langchain.agents.middleware import ModelRequest, ModelResponse, wrap_model_call
from langchain_core.messages import AnyMessage, HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

QUESTIONS = ("What does a kilogram of apples cost?", "And of plums?")
PRICES = {"apples": 2.4, "plums": 3.1}


@tool
def price_of(fruit: Literal["apples", "plums"]) -> str:
    """The price of a kilogram of fruit, in euros."""
    time.sleep(0.5)
    return f"{PRICES[fruit]} euros"


@wrap_model_call
def look_it_up(request: ModelRequest, handler: Callable[[ModelRequest], ModelResponse]) -> ModelResponse:
    """After a question the model has to call, after the tool has answered it may not: left alone it never stops."""
    asked = isinstance(request.messages[-1], HumanMessage)
    return handler(request.override(tool_choice="required" if asked else "none"))


def main() -> None:
    model = ChatOpenAI(model="smollm2", temperature=0, max_tokens=40)
    agent = create_agent(
        model, [price_of], system_prompt="You sell fruit on a market and answer briefly.", middleware=[look_it_up]
    )
    messages: list[AnyMessage] = []
    for question in QUESTIONS:
        messages = agent.invoke({"messages": [*messages, HumanMessage(question)]})["messages"]
        print(f"{question} {messages[-1].content}")


if __name__ == "__main__":
    main()
