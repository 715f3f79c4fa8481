"""Secrets are gone, and nothing else is; in a time that grows with the length, whatever stands there."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.verification.named import MARK
from processors.verification.redaction import redact

KEY_LINES = "MIIEpAIBAAKCAQEA7bq4bd3yLs8mPq5p2h1a0Zx9vQ0a1b2c3d4e5f6g7h8i9j0k\n" * 3
BEGIN, END = "-----BEGIN RSA PRIVATE KEY-----\n", "-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("use sk-ant-api03-abcDEF0123456789abcDEF-xyz please", "sk-ant-api03-abcDEF0123456789abcDEF-xyz"),
        ("OPENAI=sk-proj-Abc123Def456Ghi789Jkl", "sk-proj-Abc123Def456Ghi789Jkl"),
        ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
        (
            "ASIAIOSFODNN7EXAMPLE, wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        ),
        ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalrXUtnFEMI"),
        ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "ghp_abcdefghijklmnopqrstuvwxyz0123456789"),
        ("gho_abcdefghijklmnopqrstuvwxyz0123456789", "gho_abcdefghijklmnopqrstuvwxyz0123456789"),
        ("github_pat_11ABCDEFG0abcdefghijkl_mnopq", "github_pat_11ABCDEFG0abcdefghijkl_mnopq"),
        ("glpat-abcdefghij0123456789", "glpat-abcdefghij0123456789"),
        ("xoxb-123456789012-abcdefGHIJ", "xoxb-123456789012-abcdefGHIJ"),
        ("AIzaSyA1234567890abcdefghijklmnopqrstuv", "AIzaSyA1234567890abcdefghijklmnopqrstuv"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc_def-ghi", "eyJzdWIiOiIxIn0"),
        ("https://hooks.slack.com/services/T000/B000/XXXXXXXXXXXXXXXX", "T000/B000/XXXXXXXXXXXXXXXX"),
        ("Authorization: Bearer abc.def-123456789", "abc.def-123456789"),
        ("Authorization: Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA=="),
        ("postgres://bob:hunter2@db.internal/x", "hunter2"),
        ("redis://:secretpw@cache:6379", "secretpw"),
        ("password = hunter2", "hunter2"),
        ("password: swordfish", "swordfish"),
        ('{"password":"hunter2"}', "hunter2"),
        ('"api_key": "abcd1234efgh5678"', "abcd1234efgh5678"),
        ("api-key: 123e4567-e89b-12d3-a456-426614174000", "123e4567"),
        ("token: 9f8e7d6c5b4a39281706", "9f8e7d6c5b4a39281706"),
        ("client_secret=7f3kd93kd03kdk3", "7f3kd93kd03kdk3"),
        ("export SECRET_X=correcthorse", "correcthorse"),
        ("export DB_PASS='two words'", "two words"),
        ("mysql -u root --password=toor123", "toor123"),
        ("the password is hunter2", "hunter2"),
        ("The password for staging is Tr0ub4dor&3.", "Tr0ub4dor&3"),
        ("the password is swordfish.", "swordfish"),
        ("das Passwort ist geheim99", "geheim99"),
        ("Server=db;User Id=sa;Password=Pa55w;Encrypt=true", "Pa55w"),
        ("AccountName=x;AccountKey=abcDEF123456789+/abcDEF==;EndpointSuffix=y", "abcDEF123456789+/abcDEF=="),
        ("here is my token, use it: Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5", "Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5"),
        ("our API key for the sandbox is k3y8dj2mQ9xPzz81", "k3y8dj2mQ9xPzz81"),
    ],
)
def test_a_secret_is_replaced(text, secret):
    assert secret not in redact(text)
    assert MARK in redact(text)
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "commit 3f786850e387550fdab836ed7e6dc881de23001b fixed it",
        "id 123e4567-e89b-12d3-a456-426614174000",
        "the token budget is 5000 per day",
        "our password policy is 12 characters",
        "order_id is the primary key; the primary key is order_id",
        "The password is required. The password is not stored.",
        "password: str = Field(...)",
        "password = get_password()",
        "password: at least 12 characters",
        "PASSWORD=$DB_PASSWORD",
        'api_key = os.environ["API_KEY"]',
        "token_count: 12000 and max_tokens=4096",
        "the secret is stored in Vault",
        "Secret: never deploy on Fridays",
        "our api key is rotated every 90 days",
        "the authorization header is Bearer authentication",
        "https://example.com:8080/path@v2",
        "https://github.com/org/repo/blob/main/src/token_service/handler.py",
        "passwords are hashed with bcrypt",
    ],
)
def test_what_is_no_secret_stays(text):
    assert redact(text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"here: {BEGIN}{KEY_LINES}abc=\n{END}\nthanks", f"here: {MARK}\nthanks"),
        (f"here: {BEGIN}{KEY_LINES}and then words follow", f"here: {MARK}\nand then words follow"),
        (f"{KEY_LINES}abc=\n{END}\nthanks", f"{MARK}\nthanks"),
        (f"{BEGIN}{KEY_LINES}abc=\n{END}".replace("\n", "\\n"), MARK),
    ],
    ids=["whole", "without its end", "without its beginning", "escaped"],
)
def test_a_private_key_is_replaced_whole_or_cut_off(text, left):
    assert redact(text) == left


WORDS = [
    "password",
    "token",
    "key",
    "is",
    "=",
    ":",
    '"',
    "'",
    " ",
    "\n",
    "hunter2",
    "a1B2c3D4e5F6",
    MARK,
    "sk-",
    "://",
    "@",
    "x",
]


@given(st.lists(st.sampled_from(WORDS) | st.text(max_size=5), max_size=30).map("".join))
def test_redacting_again_changes_nothing(text):
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "token",
        "password = ",
        BEGIN,
        END,
        "://a:",
        "eyJaaaaaaaa.",
        "key ",
        "A_",
        "password for a ",
        "a1B/",
        "sk-",
    ],
)
def test_the_time_grows_with_the_length(piece):
    def seconds(size):
        text = piece * (size // len(piece))
        started = time.process_time()
        redact(text)
        return time.process_time() - started

    assert seconds(480_000) < 4 * 4 * seconds(120_000) + 0.2, "four times the length: some four times as long"
