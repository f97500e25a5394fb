"""HTML to text: what a shop's rich-text editor left in a cell, as lines that can be searched and shown."""

from __future__ import annotations

import re
from html import unescape
from html.entities import html5

from .clean import composed
from .problem import refusal

BLOCKS = (
    "address|article|aside|blockquote|body|br|caption|center|dd|details|dialog|div|dl|dt|fieldset|figcaption|figure"
    "|footer|form|h[1-6]|header|hr|html|legend|li|main|nav|ol|optgroup|option|p|pre|section|summary|table|tbody|tfoot|thead|tr|ul"
)
INLINE = (
    "a|abbr|b|big|button|cite|code|del|em|font|head|i|iframe|img|input|ins|kbd|label|link|mark|meta|noscript|object|q|s|samp"
    "|script|select|small|span|strike|strong|style|sub|sup|svg|td|template|textarea|th|title|tt|u|var|video|wbr"
)
DROPPED = ["script", "style", "head", "template", "noscript", "iframe", "object", "svg", "select", "textarea"]
# a tag that HTML knows; "a < b", "<3" and "<your name>" stay text. Blank before the end would make one of "<b > x"
TAG = re.compile(
    rf"</?(?:{BLOCKS}|{INLINE})(?:\s[^<>]*(?<!\s))?/?>|<!--.*?-->|<!doctype\b[^<>]*>", re.IGNORECASE | re.DOTALL
)
BLOCK_TAG = re.compile(rf"(?=</?(?:{BLOCKS})(?:\s[^<>]*)?/?>)", re.IGNORECASE)
CELL_END = re.compile(r"(?=</t[dh]>\s*<t[dh]\b)", re.IGNORECASE)
ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
ESCAPED_TWICE = re.compile(r"&(?:amp;)+(?=(?:#[0-9]|#[xX][0-9a-fA-F]|[a-zA-Z])[a-zA-Z0-9]{0,31};)")
CDATA = re.compile(r"<!\[CDATA\[|\]\]>")
MARKUP = re.compile("[<&\ufe60\ufe64\uff06\uff1c]")  # the last four become & and < when the text is composed
NESTINGS = 5


def plain_text(text: str) -> str:
    """The text without markup, composed; block elements become line breaks, scripts and styles nothing.

    What was escaped more than once (`&amp;lt;b&amp;gt;`) is taken apart until no markup is left, so doing it again
    changes nothing.

    Raises:
        PydanticCustomError: bad_html where markup is hidden in markup more often than NESTINGS times.
    """
    if not MARKUP.search(text):
        return text
    text = composed(text)
    for _ in range(NESTINGS):
        plain = composed(without_markup(text))
        if plain == text:
            return text
        text = plain
    raise refusal("bad_html", f"its HTML is escaped more than {NESTINGS} times over: write it as plain text")


def without_markup(text: str) -> str:
    if "&" in text:
        text = ESCAPED_TWICE.sub("&", text)
    if "<" in text:
        if "<![CDATA[" in text:
            text = CDATA.sub("", text)
        if TAG.search(text):
            return rendered(text)
    return ENTITY.sub(decoded, text) if "&" in text else text


def decoded(entity: re.Match[str]) -> str:
    """One character reference; an unknown name stays as it is."""
    written = entity.group()
    return unescape(written) if written[1] == "#" else html5.get(written[1:], written)


def rendered(markup: str) -> str:
    from selectolax.lexbor import LexborHTMLParser

    if BLOCK_TAG.search(markup):  # without blocks the author's own line breaks are meant
        markup = BLOCK_TAG.sub("\n", CELL_END.sub(" ", " ".join(markup.split())))
    tree = LexborHTMLParser(markup)
    tree.strip_tags(DROPPED)
    body = tree.body
    return TAG.sub(" ", markup) if body is None else body.text()  # a frameset has no body
