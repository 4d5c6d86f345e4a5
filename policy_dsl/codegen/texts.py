"""Numbers for texts, so that a column of tool names is a column of integers."""

from __future__ import annotations


class TextTable:
    """Gives each text a small integer, the same one every time."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._texts: list[str] = []

    def __len__(self) -> int:
        return len(self._texts)

    def code(self, text: str) -> int:
        found = self._codes.get(text)
        if found is None:
            found = self._codes[text] = len(self._texts)
            self._texts.append(text)
        return found

    def text(self, code: int) -> str:
        """The text behind *code*. Raises IndexError for a code that was never given."""
        return self._texts[code]
