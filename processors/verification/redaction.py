"""Secrets in texts are replaced by a mark, before anything is stored or sent.

Why no library: detect-secrets keeps its settings and plug-ins in caches of the whole process (``settings.get_settings``
is an ``lru_cache`` that ``transient_settings`` empties and fills), which threads would change under each other; it
scans files line by line, tells a secret's line and value but not its place, and knows of a private key its first line
alone. What is here is pure, works on a text and replaces whole blocks.

Sources of the forms: the pages of the issuers on their key formats (Anthropic, OpenAI, AWS "unique identifiers", GitHub
"token formats", GitLab "token prefixes", Slack "token types", Google Cloud API keys, Stripe, npm, PyPI, Hugging Face,
SendGrid, DigitalOcean, Databricks, Shopify, Vault), RFC 7468 (PEM), RFC 7519 (JWT), RFC 6750 and 7617 (Bearer, Basic),
RFC 3986 (userinfo), and the rules that gitleaks publishes.

Each pattern is linear: it begins at a fixed word or where no character of its own stands before, and repeats within
limits or over characters that cannot begin it again.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator

MARK = "[redacted]"

_MOST_PASSES = 8
"""A mark may bring a word and a value together; what is found then is replaced, too. Twice is rare."""


def redact(text: str) -> str:
    """The text with :data:`MARK` in place of each secret that is known by its form or by the words before it.

    Redacting again changes nothing. The time grows with the length, whatever the text is.
    """
    for _ in range(_MOST_PASSES):
        redacted = _once(text)
        if redacted == text:
            break
        text = redacted
    return text


def _once(text: str) -> str:
    if "PRIVATE KEY" in text:
        text = _without_key_blocks(text)
    if _AWS_ID.search(text):
        text = _AWS_SECRET.sub(lambda found: MARK if _mixed(found[0]) else found[0], text)
    for beginnings, pattern in _FORMS:
        if any(beginning in text for beginning in beginnings):
            text = pattern.sub(MARK, text)
    if _names_secrets(text):
        text = "\n".join(_after_words(line) if _names_secrets(line) else line for line in text.split("\n"))
    return text


def _names_secrets(text: str) -> bool:
    """Whether there is a word after which a secret may stand; most texts and lines have none, and are done."""
    text = text.lower()
    return any(word in text for word in _WORDS)


def _after_words(line: str) -> str:
    for pattern, secret in _AFTER_WORDS:
        line = pattern.sub(_replacing(secret), line)
    return line


# --- Known by their form -------------------------------------------------------------------------------------------

_START = r"(?<![A-Za-z0-9_-])"

_AWS_ID = re.compile(r"(?<![A-Za-z0-9])(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{12,}")

_FORMS = [
    (beginnings, re.compile(pattern))
    for beginnings, pattern in [
        (["sk-"], _START + r"sk-(?=[A-Za-z0-9_-]{0,64}[0-9A-Z])[A-Za-z0-9_-]{16,}"),  # Anthropic, OpenAI, OpenRouter
        (["AKIA", "ASIA", "ABIA", "ACCA"], _AWS_ID.pattern),
        (["gh"], _START + r"gh[pousr]_[A-Za-z0-9]{20,}"),  # GitHub
        (["github_pat_"], _START + r"github_pat_[A-Za-z0-9_]{20,}"),
        (["gl"], _START + r"gl(?:pat|dt|ptt|rt|cbt|ft|soat|imt|agent)-[A-Za-z0-9_.-]{16,}"),  # GitLab
        (["xox"], _START + r"xox[abeprs](?:\.xox[bp])?-[A-Za-z0-9-]{10,}"),  # Slack
        (["xapp-"], _START + r"xapp-[0-9]-[A-Za-z0-9-]{10,}"),
        (["hooks.slack.com"], r"(?<=hooks\.slack\.com/)(?:services|workflows|triggers)/[A-Za-z0-9/_-]{8,}"),
        (["/webhooks/"], r"(?<=/api/webhooks/)[0-9]{5,}/[A-Za-z0-9_-]{20,}"),  # Discord
        (["AIza"], _START + r"AIza[A-Za-z0-9_-]{30,}"),  # Google
        (["ya29.", "GOCSPX-"], _START + r"(?:ya29\.|GOCSPX-)[A-Za-z0-9_-]{20,}"),
        (["_live_", "_test_"], _START + r"(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{10,}"),  # Stripe
        (["whsec_"], _START + r"whsec_[A-Za-z0-9+/=]{16,}"),
        (["eyJ"], _START + r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"),  # JWT; cut off, too
        (["npm_", "hf_", "gsk_"], _START + r"(?:npm|hf|gsk)_[A-Za-z0-9]{20,}"),  # npm, Hugging Face, Groq
        (["_v1_", "shpat_", "shpss_", "lin_api_"], _START + r"(?:do[op]_v1|shpat|shpss|lin_api)_[A-Za-z0-9]{20,}"),
        (["pypi-AgE"], _START + r"pypi-AgE[A-Za-z0-9_-]{20,}"),
        (["SG."], _START + r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),  # SendGrid
        (["dapi", "xai-"], _START + r"(?:dapi[a-f0-9]{32}|xai-[A-Za-z0-9]{30,})"),  # Databricks, xAI
        (["hvs.", "hvb.", "hvr."], _START + r"hv[sbr]\.[A-Za-z0-9_-]{20,}"),  # Vault
        (["AGE-SECRET-KEY-1", "NRAK-"], _START + r"(?:AGE-SECRET-KEY-1|NRAK-)[A-Z0-9]{20,}"),
        (["PMAK-", "ATATT3"], _START + r"(?:PMAK-[a-f0-9-]{30,}|ATATT3[A-Za-z0-9_=-]{20,})"),  # Postman, Atlassian
        ([":AA"], r"(?<![0-9])[0-9]{8,10}:AA[A-Za-z0-9_-]{32,}"),  # Telegram
        (["://"], r"(?<=://)[^\s/@:\"'<>]{0,256}:[^\s/@\"'<>]{1,512}(?=@[^\s/@])"),  # user and password of an address
    ]
]
"""What of its beginnings a text must hold, so that a pattern is worth a look; and the pattern."""

_AWS_SECRET = re.compile(r"(?<![A-Za-z0-9/+=])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])")
"""An AWS secret has no form but its length: it counts in a text that has a key id only."""

_KEY_LINE = re.compile(r"-----(BEGIN|END) (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?(?:-----)?")
_GAP = r"(?:[\s\"'`+>|,]|\\[nr])"
_KEY_BODY = re.compile(rf"(?:{_GAP}*+(?:[A-Za-z-]{{4,20}}: [^\n\\]{{1,100}}|[A-Za-z0-9+/=]{{24,}}))*+")
_KEY_END = re.compile(rf"{_GAP}*+[A-Za-z0-9+/]{{0,63}}={{1,2}}")
_BASE64 = re.compile(r"[A-Za-z0-9+/=]{24,}")


def _without_key_blocks(text: str) -> str:
    """Private keys in PEM, whole or cut off at either end, with real or escaped ends of lines."""
    pieces, done, lines = [], 0, list(_KEY_LINE.finditer(text))
    for line, after in zip(lines, [*lines[1:], None], strict=True):
        if line.start() < done:
            continue
        if line[1] == "END":
            begin, end = _body_before(text, done, line.start()), line.end()
        elif after is not None and after[1] == "END":
            begin, end = line.start(), after.end()
        else:
            body = _KEY_BODY.match(text, line.end())
            assert body is not None
            rest = _KEY_END.match(text, body.end())
            begin, end = line.start(), rest.end() if rest and body.end() > line.end() else body.end()
        pieces += [text[done:begin], MARK]
        done = end
    return "".join([*pieces, text[done:]])


def _body_before(text: str, floor: int, end: int) -> int:
    """Where the rest of a key begins whose first line is missing."""
    begin = end
    while begin > floor:
        line = max(text.rfind("\n", floor, begin - 1) + 1, floor)
        body = text[line:begin].strip()
        whole = _BASE64.fullmatch(body) or (begin == end and not body) or (body.endswith("=") and " " not in body)
        if not whole:
            break
        begin = line
    return begin


# --- Known by the words before them --------------------------------------------------------------------------------

_PASSWORD = r"(?:pass(?:word|wd|phrase|code)|passwd|pwd|passwort|kennwort)"
_SECRET = (
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
    "a an the not too also very just in on at by for from of to with and or but no any one this that your my our its"
    " always never now then here there what how when where only still safe secret same wrong right correct good bad"
    " weak strong long short empty blank null missing invalid valid optional mandatory compulsory plain hidden public"
    " private different unique new old case sha256 bcrypt argon2 md5 base64 utf-8 oauth2 in-memory read-only"
    " nicht falsch richtig zu der die das ein eine".split()
)
_ADJECTIVE = re.compile(r"[a-z-]+(?:ed|ing|able|ible|ory|ary|ally|tly|less|ful)", re.IGNORECASE)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_HEX = re.compile(r"(?:0x)?[0-9a-f]+", re.IGNORECASE)
_PATH = re.compile(r"(?:\.{0,2}/)?[\w.-]+(?:/[\w.-]+)+/?")

_BITS = 3.0
"""Entropy of a character, from which on a value may be random; words of English have 2 to 3 at such lengths."""


def _entropy(value: str) -> float:
    return -sum(n / len(value) * math.log2(n / len(value)) for n in Counter(value).values())


def _mixed(value: str) -> bool:
    return any(map(str.isdigit, value)) and any(map(str.islower, value)) and any(map(str.isupper, value))


def _random(value: str) -> bool:
    """Whether a value looks drawn, not worded."""
    digit, letter = any(map(str.isdigit, value)), any(map(str.isalpha, value))
    cases = any(map(str.islower, value)) and any(map(str.isupper, value))
    if not letter or not (digit or (cases and len(value) >= 20)) or (_PATH.fullmatch(value) and not _mixed(value)):
        return False
    return _entropy(value) >= (_BITS if len(value) < 12 or not digit else _BITS - 0.5)


def _is_password(found: re.Match[str]) -> bool:
    """Of ``password = …``: any value but a placeholder, a type, a call or the first word of a sentence."""
    value, after = _bare(found)
    if len(value) < 3 or _PLACEHOLDER.match(value) or after in {"(", "["}:
        return False
    worded = value.isalpha() and (value.islower() or value.istitle())
    if found["value"][0] in "\"'`":
        return True
    return not (worded and (after or value.lower() in _COMMON))


def _is_secret(found: re.Match[str]) -> bool:
    """Of ``token: …``: what has letters and digits and is no name."""
    value, after = _bare(found)
    if len(value) < 8 or _PLACEHOLDER.match(value) or after in {"(", "["}:
        return False
    return _random(value) or (_HEX.fullmatch(value) is not None and len(value) >= 16 and not value.isdigit())


def _is_exported(found: re.Match[str]) -> bool:
    """Of ``SECRET_X=…``, in capitals: any value of some length."""
    value, after = _bare(found)
    return len(value) >= 6 and not _PLACEHOLDER.match(value) and not value.isdigit() and after not in {"(", "["}


def _is_told(found: re.Match[str]) -> bool:
    """Of "the password is …": what is no plain word, or the only one."""
    value, after = _bare(found)
    if len(value) < 4 or _PLACEHOLDER.match(value) or after in {"(", "["} or value.lower() in _COMMON:
        return False
    if found["value"][0] in "\"'`":
        return " " not in value
    if not value.isalpha():
        return not (value.isdigit() and after) and not re.fullmatch(r"[A-Za-z]+(?:[-'’][A-Za-z]+)+", value)
    return not after and not _ADJECTIVE.fullmatch(value)


def _is_told_secret(found: re.Match[str]) -> bool:
    value, _ = _bare(found)
    return len(value) >= 12 and _random(value) and not re.fullmatch(r"[a-z0-9]+(?:_[a-z0-9]+)+", value)


def _is_near(found: re.Match[str]) -> bool:
    """Of a long string some words after "token": what is no hash of a commit, no UUID and no name."""
    value = found["value"]
    if _HEX.fullmatch(value) or _UUID.fullmatch(value):
        return False
    return _mixed(value) and _random(value)


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
    yield re.compile(rf"{_PASSWORD}\w{{0,30}}{_SEP}{_VALUE}", any_case), _is_password
    yield re.compile(rf"{_SECRET}\w{{0,30}}{_SEP}{_VALUE}", any_case), _is_secret
    name = r"(?<![A-Z0-9_])(?=[A-Z0-9_]{0,60}(?:SECRET|TOKEN|PASS|PASSWORD|_KEY|APIKEY|CREDENTIALS?)(?:_|=))"
    yield re.compile(rf"{name}[A-Z0-9_]{{1,80}}={_VALUE}"), _is_exported
    yield re.compile(rf"{_PASSWORD}{_SAID}{_VALUE}", any_case), _is_told
    yield re.compile(rf"{_SECRET}{_SAID}{_VALUE}", any_case), _is_told_secret
    near = r"[^\n]{0,40}?(?<![A-Za-z0-9+/=_.-])(?P<value>[A-Za-z0-9+/=_.-]{20,256})(?P<next>)"
    yield re.compile(rf"(?:{_PASSWORD}|{_SECRET}|\bkey\b){near}", any_case), _is_near


def _is_near_any(found: re.Match[str]) -> bool:
    """Of what stands after "Bearer" or "Basic": what is no word of a sentence."""
    value = found["value"].rstrip(".,;:!?")
    cases = any(map(str.islower, value)) and any(map(str.isupper, value[1:]))
    return len(value) >= 8 and (any(map(str.isdigit, value)) or value.endswith("=") or cases)


_AFTER_WORDS = tuple(_patterns())
