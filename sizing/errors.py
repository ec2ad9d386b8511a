"""What is said to a user whose input cannot be used: one sentence with the field, the value and what is allowed."""

from __future__ import annotations

SHOWN_VALUE_CHARACTERS = 60


def shown(value: object) -> str:
    """Text of a value as quoted in a message, shortened so that a message stays one line.

    >>> shown("a" * 100)[-4:]
    "...'"
    >>> shown(-3)
    '-3'
    """
    if isinstance(value, str):
        printable = "".join(c if c.isprintable() else "?" for c in value)
        if len(printable) > SHOWN_VALUE_CHARACTERS:
            printable = printable[: SHOWN_VALUE_CHARACTERS - 3] + "..."
        return f"'{printable}'"
    text = "empty" if value is None else str(value)
    return text if len(text) <= SHOWN_VALUE_CHARACTERS else text[: SHOWN_VALUE_CHARACTERS - 3] + "..."


class InputError(ValueError):
    """Input that cannot be used. `str()` is one sentence: field, value, what is allowed.

    >>> str(InputError("prompt_tokens", -5, "a whole number from 1 to 10000000"))
    'prompt_tokens: -5 is not allowed; allowed is a whole number from 1 to 10000000.'
    """

    def __init__(self, field: str, value: object, allowed: str) -> None:
        self.field = field
        self.value = value
        self.allowed = allowed.rstrip(".")
        super().__init__(f"{field}: {shown(value)} is not allowed; allowed is {self.allowed}.")
