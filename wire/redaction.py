"""Text made fit to be shown: what looks like a credential is masked, what could move a terminal's cursor is gone."""

import re

MASK = "***"

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\beyJ[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*){1,2}"), MASK),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]+"), rf"\1 {MASK}"),
    (re.compile(r"(?i)(\w+://[^\s:/@]+:)[^\s@/]+@"), rf"\1{MASK}@"),
    (
        re.compile(
            r"(?i)(\b[\w-]*(?:password|passwd|secret|token|api_?key|appkey|totp|authorization|cookie)[\w-]*[\"']?\s*[:=]"
            r"\s*)(\"[^\"]*\"|'[^']*'|[^\s,;}&]+)"
        ),
        rf"\1{MASK}",
    ),
)


def redact(text: str) -> str:
    """``text`` with everything that looks like a credential masked."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def printable(text: str) -> str:
    """``text`` with a space for every character that is not shown: controls, marks of direction, half surrogates."""
    return "".join(c if c.isprintable() else " " for c in text)
