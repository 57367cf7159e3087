"""The few SVG elements that the charts are made of; pure; orchestration interpreter.

Only presentation attributes and classes are used: a page's content security policy forbids ``style``.
"""

from typing import Any

from markupsafe import Markup


def draw(name: str, css: str, content: str | Markup = "", **attributes: Any) -> Markup:
    """Return an element; its content and every attribute are escaped unless they are markup already.

    Args:
        name: The element's name, a constant of the caller's.
        css: Its class.
        content: What is inside.
        attributes: Numbers are written with one decimal; ``x_y`` becomes ``x-y``; None is left out.
    """
    written = Markup("").join(
        Markup(' {}="{}"').format(key.replace("_", "-"), f"{value:.1f}" if isinstance(value, float) else value)
        for key, value in attributes.items()
        if value is not None
    )
    return Markup('<{0} class="{1}"{2}>{3}</{0}>').format(name, css, written, content)


def write(text: str, css: str, x: float, y: float, anchor: str = "start") -> Markup:
    return draw("text", css, text, x=float(x), y=float(y), text_anchor=anchor)


def shorten(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
