"""Markup in cells becomes text; text that only looks like it stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from prodsim.loaders.preparing.clean import many_lines
from prodsim.loaders.preparing.html import plain_text


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>Hi &amp; <b>bo</b>ld<br>x < y</p><ul><li>a<li>b</ul>", "Hi & bold\nx < y\na\nb"),
        ("x <script>alert(1)</script><style>p{}</style>y", "x y"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
        ("<div>\n  one\n  two</div>three", "one two\nthree"),
        ("line1\nline2 <b>x</b>", "line1\nline2 x"),
        ("Black &amp;amp; Decker", "Black & Decker"),
        ("&lt;p&gt;x&lt;/p&gt;y", "x\ny"),
        ("<![CDATA[<p>hey</p>]]><!-- note -->", "hey"),
        ("Größe &uuml;ber 5&nbsp;cm", "Größe über 5 cm"),
        ("a < b and c > d", "a < b and c > d"),
        ("i <3 you", "i <3 you"),
        ("engrave <your name>", "engrave <your name>"),
        ("AT&T & sons &foo;", "AT&T & sons &foo;"),
        ("a &#0; b", "a \ufffd b"),
    ],
)
def test_markup_becomes_lines_of_text(markup: str, text: str) -> None:
    assert many_lines(plain_text(markup)) == text


def test_markup_escaped_again_and_again_is_refused() -> None:
    with pytest.raises(PydanticCustomError, match="escaped more than 5 times"):
        plain_text("&#38;#38;#38;#38;#38;#38;#38;lt;b>")


PIECES = st.sampled_from(
    ["<b>", "</p>", "<br/>", "&amp;", "&lt;", "lt;", "&#38;", "&", "<", ">", "p", " ", "\n", "\uff1cb\uff1e", "x"]
)


@given(st.lists(PIECES, max_size=12).map("".join))
def test_what_was_cleaned_stays_as_it_is(markup: str) -> None:
    try:
        text = many_lines(plain_text(markup))
    except PydanticCustomError:
        return
    assert many_lines(plain_text(text)) == text
