"""Pages of the leaderboard as Streamlit draws them, without a browser."""

from __future__ import annotations

from html import unescape
from typing import Any

from streamlit.testing.v1 import AppTest


def draw(page: str) -> None:
    """What Streamlit runs."""
    import importlib

    importlib.import_module(f"audiometry.leaderboard.views.{page}").show()


def opened(page: str, /, **parameters: str | list[str]) -> AppTest:
    """A page, with parameters in its address."""
    test = AppTest.from_function(draw, args=(page,), default_timeout=120)
    for name, value in parameters.items():
        test.query_params[name] = value
    test.run()
    assert not test.exception
    return test


def bodies(test: AppTest) -> str:
    """The page's own HTML."""
    return "\n".join(element.body for element in test.html)


def shown(test: AppTest) -> str:
    """The page's own HTML, with its entities read."""
    return unescape(bodies(test))


def box(test: AppTest, label: str) -> Any:
    """The one box to choose from whose label begins so."""
    (found,) = [element for element in test.selectbox if element.label.startswith(label)]
    return found
