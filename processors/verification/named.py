"""Secrets that are known by the words before them: ``password = …``, "the password is …", ``Bearer …``.

Sources: RFC 6750 and 7617 (Bearer, Basic), the key words of gitleaks and detect-secrets, and connection strings as
the makers of databases and clouds document them. Everything is within a line, and each repetition has a limit.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator

MARK = "[redacted]"


def redact_named(text: str) -> str:
    """The text with :data:`MARK` in place of each secret that a word before it names."""
    if not _names_secrets(text):
        return text
    return "\n".join(_without(line) if _names_secrets(line) else line for line in text.split("\n"))


def _names_secrets(text: str) -> bool:
    """Whether there is a word after which a secret may stand; most texts and lines have none, and are done."""
    text = text.lower()
    return any(word in text for word in _WORDS)


def _without(line: str) -> str:
    for pattern, secret in _AFTER_WORDS:
        line = pattern.sub(_replacing(secret), line)
    return line


_PHRASE = r"(?:pass(?:word|wd|phrase|code)|passwd|pwd|passwort|kennwort)"
_KEY = (
    r"(?:(?:api|access|secret|private|client|auth|account|shared[_-]?access|encryption|signing|master|deploy|service)"
    r"[ _-]?(?:key|token|secret)|apikey|token|secret|credentials?|authorization|webhook[ _-]?url|sig)"
)
_WORDS = (
    "pass",
    "pwd",
    "kennwort",
    "secret",
    "token",
    "key",
    "auth",
    "credential",
    "webhook",
    "sig",
    "bearer",
    "basic",
)
_SEP = r"[\"'`\]]{0,2}[ \t]{0,8}(?:=>|:=|==?|:(?!//))[ \t]{0,8}"
_QUOTED = r"\"[^\"\n]{1,512}\"|'[^'\n]{1,512}'|`[^`\n]{1,512}`"
_BARE = r"[^\s\"'`,;<>(){}\[\]]{1,1024}"
_VALUE = rf"(?P<value>{_QUOTED}|{_BARE})(?P<next>[(\[]|[ \t]{{1,4}}\w)?"
_SAID = (
    r"s?[ \t]{1,4}(?:(?:for|of|to|on|in|für)[ \t]{1,4}[\w./@:-]{1,60}[ \t]{1,4}(?:[\w./@:-]{1,40}[ \t]{1,4}){0,2})?"
    r"(?:is|was|are|ist|lautet)(?:[ \t]{0,4}:[ \t]{0,4}|[ \t]{1,4})"
)
_PLACEHOLDER = re.compile(
    r"(?:\$|%|<|\{|\*+$|x{3,}$|\.{2,}|none$|null$|true$|false$|nil$|undefined$|str$|string$|bytes$|int$|bool$|any$"
    r"|text$|varchar|optional|secretstr|os\.|env\.|process\.|config\.|settings\.|self\.|args\.|getenv|input$)",
    re.IGNORECASE,
)
_COMMON = frozenset(
    word.strip()
    for word in [
        "\n    a",
        " an",
        " the",
        " not",
        " too",
        " also",
        " very",
        " just",
        " in",
        " on",
        " at",
        " by",
        " for",
        " from",
        " of",
        " to",
        " with",
        " and",
        " or",
        " but",
        " no",
        "\n    any",
        " one",
        " this",
        " that",
        " your",
        " my",
        " our",
        " its",
        " always",
        " never",
        " now",
        " then",
        " here",
        " there",
        " what",
        " how",
        " when",
        "\n    where",
        " only",
        " still",
        " safe",
        " secret",
        " same",
        " wrong",
        " right",
        " correct",
        " good",
        " bad",
        " weak",
        " strong",
        " long",
        " short",
        "\n    empty",
        " blank",
        " null",
        " missing",
        " invalid",
        " valid",
        " optional",
        " mandatory",
        " compulsory",
        " plain",
        " hidden",
        " public",
        "\n    private",
        " different",
        " unique",
        " new",
        " old",
        " case",
        " sha256",
        " bcrypt",
        " argon2",
        " md5",
        " base64",
        " utf-8",
        " oauth2",
        "\n    in-memory",
        " read-only",
        " nicht",
        " falsch",
        " richtig",
        " zu",
        " der",
        " die",
        " das",
        " ein",
        " eine\n    ",
    ]
)
"""What may follow "the password is" in a sentence about passwords."""
_ADJECTIVE = re.compile(r"[a-z-]+(?:ed|ing|able|ible|ory|ary|ally|tly|less|ful)", re.IGNORECASE)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_HEX = re.compile(r"(?:0x)?[0-9a-f]+", re.IGNORECASE)
_PATH = re.compile(r"(?:\.{0,2}/)?[\w.-]+(?:/[\w.-]+)+/?")

_LEAST_PASSWORD, _LEAST_TOLD, _LEAST_EXPORTED, _LEAST_KEY, _LONGISH, _LONGER, _LONG = 3, 4, 6, 8, 12, 16, 20
"""Characters of a value."""
_BITS = 3.0
"""Entropy of a character, from which on a value may be random; words of English have 2 to 3 at such lengths."""


def _entropy(value: str) -> float:
    return -sum(n / len(value) * math.log2(n / len(value)) for n in Counter(value).values())


def is_mixed(value: str) -> bool:
    """Whether a value has digits and letters of both cases."""
    return any(map(str.isdigit, value)) and any(map(str.islower, value)) and any(map(str.isupper, value))


def _random(value: str) -> bool:
    """Whether a value looks drawn, not worded."""
    digit, letter = any(map(str.isdigit, value)), any(map(str.isalpha, value))
    cases = any(map(str.islower, value)) and any(map(str.isupper, value))
    if (
        not letter
        or not (digit or (cases and len(value) >= _LONG))
        or (_PATH.fullmatch(value) and not is_mixed(value))
    ):
        return False
    return _entropy(value) >= (_BITS if len(value) < _LONGISH or not digit else _BITS - 0.5)


def _is_password(found: re.Match[str]) -> bool:
    """Of ``password = …``: any value but a placeholder, a type, a call or the first word of a sentence."""
    value, after = _bare(found)
    if len(value) < _LEAST_PASSWORD or _PLACEHOLDER.match(value) or after in {"(", "["}:
        return False
    worded = value.isalpha() and (value.islower() or value.istitle())
    if found["value"][0] in "\"'`":
        return True
    return not (worded and (after or value.lower() in _COMMON))


def _is_secret(found: re.Match[str]) -> bool:
    """Of ``token: …``: what has letters and digits and is no name."""
    value, after = _bare(found)
    if len(value) < _LEAST_KEY or _PLACEHOLDER.match(value) or after in {"(", "["}:
        return False
    return _random(value) or (_HEX.fullmatch(value) is not None and len(value) >= _LONGER and not value.isdigit())


def _is_exported(found: re.Match[str]) -> bool:
    """Of ``SECRET_X=…``, in capitals: any value of some length."""
    value, after = _bare(found)
    return (
        len(value) >= _LEAST_EXPORTED
        and not _PLACEHOLDER.match(value)
        and not value.isdigit()
        and after not in {"(", "["}
    )


def _is_told(found: re.Match[str]) -> bool:
    """Of "the password is …": what is no plain word, or the only one."""
    value, after = _bare(found)
    if len(value) < _LEAST_TOLD or _PLACEHOLDER.match(value) or after in {"(", "["} or value.lower() in _COMMON:
        return False
    if found["value"][0] in "\"'`":
        return " " not in value
    if not value.isalpha():
        return not (value.isdigit() and after) and not re.fullmatch("[A-Za-z]+(?:[-'\u2019][A-Za-z]+)+", value)
    return not after and not _ADJECTIVE.fullmatch(value)


def _is_told_secret(found: re.Match[str]) -> bool:
    value, _ = _bare(found)
    return len(value) >= _LONGISH and _random(value) and not re.fullmatch(r"[a-z0-9]+(?:_[a-z0-9]+)+", value)


def _is_near(found: re.Match[str]) -> bool:
    """Of a long string some words after "token": what is no hash of a commit, no UUID and no name."""
    value = found["value"]
    if _HEX.fullmatch(value) or _UUID.fullmatch(value):
        return False
    return is_mixed(value) and _random(value)


def _bare(found: re.Match[str]) -> tuple[str, str]:
    value = found["value"]
    if value[0] in "\"'`" and value[-1] == value[0]:
        return value[1:-1], ""
    return value.rstrip(".,;:!?"), (found["next"] or "").strip()


def _replacing(secret: Callable[[re.Match[str]], bool]) -> Callable[[re.Match[str]], str]:
    def replaced(found: re.Match[str]) -> str:
        value = found["value"]
        if MARK.strip("[]") in value or not secret(found):
            return found[0]
        begin, end = found.start("value"), found.end("value")
        if value[0] in "\"'`":
            begin, end = begin + 1, end - 1
        else:
            end -= len(value) - len(value.rstrip(".,;:!?"))
        offset = found.start()
        return found[0][: begin - offset] + MARK + found[0][end - offset :]

    return replaced


def _patterns() -> Iterator[tuple[re.Pattern[str], Callable[[re.Match[str]], bool]]]:
    any_case = re.IGNORECASE
    yield (
        re.compile(r"\b(?:Bearer|Basic|Digest|Token)[ \t]{1,4}(?P<value>[\w.~+/=-]{8,2048})(?P<next>)"),
        _is_near_any,
    )
    yield re.compile(rf"{_PHRASE}\w{{0,30}}{_SEP}{_VALUE}", any_case), _is_password
    yield re.compile(rf"{_KEY}\w{{0,30}}{_SEP}{_VALUE}", any_case), _is_secret
    name = r"(?<![A-Z0-9_])(?=[A-Z0-9_]{0,60}(?:SECRET|TOKEN|PASS|PASSWORD|_KEY|APIKEY|CREDENTIALS?)(?:_|=))"
    yield re.compile(rf"{name}[A-Z0-9_]{{1,80}}={_VALUE}"), _is_exported
    yield re.compile(rf"{_PHRASE}{_SAID}{_VALUE}", any_case), _is_told
    yield re.compile(rf"{_KEY}{_SAID}{_VALUE}", any_case), _is_told_secret
    near = r"[^\n]{0,40}?(?<![A-Za-z0-9+/=_.-])(?P<value>[A-Za-z0-9+/=_.-]{20,256})(?P<next>)"
    yield re.compile(rf"(?:{_PHRASE}|{_KEY}|\bkey\b){near}", any_case), _is_near


def _is_near_any(found: re.Match[str]) -> bool:
    """Of what stands after "Bearer" or "Basic": what is no word of a sentence."""
    value = found["value"].rstrip(".,;:!?")
    cases = any(map(str.islower, value)) and any(map(str.isupper, value[1:]))
    return len(value) >= _LEAST_KEY and (any(map(str.isdigit, value)) or value.endswith("=") or cases)


_AFTER_WORDS = tuple(_patterns())
