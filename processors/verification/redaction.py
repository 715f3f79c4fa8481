"""Secrets in texts are replaced by a mark, before anything is stored or sent.

Why no library: detect-secrets keeps its settings and plug-ins in caches of the whole process (its ``get_settings`` is
an ``lru_cache`` that ``transient_settings`` empties and fills), which threads would change under each other; it scans
files line by line, tells a secret's line and value but not its place, and knows of a private key its first line
alone. What is here is pure, works on a text and replaces whole blocks.

Sources of the forms: the pages of the issuers on their key formats (Anthropic, OpenAI, AWS "unique identifiers",
GitHub "token formats", GitLab "token prefixes", Slack "token types", Google Cloud API keys, Stripe, npm, PyPI,
Hugging Face, SendGrid, DigitalOcean, Databricks, Shopify, Vault), RFC 7468 (PEM), RFC 7519 (JWT), RFC 3986
(userinfo), and the rules that gitleaks publishes. What words tell: :mod:`processors.verification.named`.

Each pattern is linear: it begins at a fixed word or where no character of its own stands before, and repeats within
limits or over characters that cannot begin it again.
"""

import re

from processors.verification.named import MARK, is_mixed, redact_named

__all__ = ["MARK", "redact"]

_MOST_PASSES = 8
"""A mark may bring a word and a value together; what is found then is replaced, too. Twice is rare."""


def redact(text: str) -> str:
    """The text with ``[redacted]`` in place of each secret that is known by its form or by the words before it.

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
        text = _AWS_SECRET.sub(lambda found: MARK if is_mixed(found[0]) else found[0], text)
    for beginnings, pattern in _FORMS:
        if any(beginning in text for beginning in beginnings):
            text = pattern.sub(MARK, text)
    return redact_named(text)


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
