"""Made-up transcripts with the line sizes and the mix of types of recorded ones; the same for the same seed.

Shares of types, sizes and repeated message ids follow 10,942 recorded lines: 64 % progress, 21 % assistant (each
response in about two lines with one message id), 14 % user (nearly all tool results), 1 % snapshots; lines of
0.3-6 KB with a long tail, 1.7 KB on average.
"""

import itertools
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

TOOLS = ("Bash", "Read", "Edit", "Grep", "Glob", "Write", "WebFetch", "TodoWrite", "Task", "mcp__github__search")
_WORDS = (
    "the",
    "a",
    "test",
    "of",
    "value",
    "returns",
    "file",
    "line",
    "error",
    "'quoted'",
    "\\path",
    "{",
    "}",
    "naïve",
)
_TEXT = " ".join(random.Random(1).choices(_WORDS, k=60_000))
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def _text(rng: random.Random, mean: float) -> str:
    length = min(40_000, int(rng.lognormvariate(0, 1) * mean))
    start = rng.randrange(len(_TEXT) - 40_000)
    return _TEXT[start : start + length]


def lines(rng: random.Random, session: str) -> Iterator[bytes]:
    """Endless lines of one session, each with its newline."""
    number, open_call, response = 0, None, None
    now = _BEGIN + timedelta(seconds=rng.randrange(150 * 86_400))
    while True:
        number += 1
        now += timedelta(milliseconds=int(rng.expovariate(1 / 3000)))
        kind = rng.random()
        common = {
            "parentUuid": f"{session[:8]}-{number - 1:08d}",
            "isSidechain": False,
            "userType": "external",
            "cwd": "/home/dev/project",
            "sessionId": session,
            "version": "2.1.39",
            "gitBranch": "main",
            "uuid": f"{session[:8]}-{number:08d}",
            "timestamp": f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03d}Z",
        }
        if kind < 0.64:
            content = [{"type": "text", "text": _text(rng, 500)}]
            nested = {"type": "assistant", "message": {"role": "assistant", "content": content}}
            line = common | {
                "type": "progress",
                "data": {"type": rng.choice(("agent_progress", "bash_progress", "hook_progress")), "message": nested},
                "toolUseID": f"toolu_{number}",
            }
        elif kind < 0.85:
            if response is None or rng.random() < 0.5:
                response = f"msg_{session[:8]}{number:012d}"
            if open_call is None and rng.random() < 0.6:
                open_call = f"toolu_{session[:8]}{number:012d}"
                tool_input = {"command": _text(rng, 300), "description": "made up"}
                block = {"type": "tool_use", "id": open_call, "name": rng.choice(TOOLS), "input": tool_input}
            else:
                block = {"type": rng.choice(("text", "thinking")), "text": _text(rng, 600)}
            usage = {
                "input_tokens": rng.randrange(2000),
                "cache_creation_input_tokens": rng.randrange(3000),
                "cache_read_input_tokens": rng.randrange(90_000),
                "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
                "output_tokens": rng.randrange(800),
                "service_tier": "standard",
            }
            message = {
                "model": "claude-opus-4-6",
                "id": response,
                "type": "message",
                "role": "assistant",
                "content": [block],
                "stop_reason": None,
                "usage": usage,
            }
            line = common | {"type": "assistant", "requestId": f"req_{response[4:]}", "message": message}
        elif kind < 0.99:
            if open_call is not None:
                output = _text(rng, 1200)
                block = {"type": "tool_result", "tool_use_id": open_call, "content": output}
                block["is_error"] = rng.random() < 0.05
                line = common | {
                    "type": "user",
                    "message": {"role": "user", "content": [block]},
                    "toolUseResult": {"stdout": output, "stderr": ""},
                }
                open_call = None
            else:
                line = common | {"type": "user", "message": {"role": "user", "content": _text(rng, 200)}}
        else:
            line = {
                "type": "file-history-snapshot",
                "messageId": f"m{number}",
                "snapshot": {"files": _text(rng, 3000)},
            }
        yield json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _uuid(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-{number:012x}"


def session_name(number: int) -> str:
    """The key of a session: fifty users, four projects each."""
    return f"user{number % 50:02d}/project-{number // 50 % 4}/{_uuid(number)}.jsonl"


def write(root: Path, *, sessions: int, size: int, seed: int = 1) -> list[Path]:
    """Write ``sessions`` files of together about ``size`` bytes below ``root``; returns them."""
    rng = random.Random(seed)
    paths = []
    for number in range(sessions):
        path = root / session_name(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        wanted = size / sessions * rng.uniform(0.4, 1.6)
        source = lines(rng, path.stem)
        with path.open("wb") as file:
            while file.tell() < wanted:
                file.write(next(source))
        paths.append(path)
    return paths


def write_crowd(root: Path, *, sessions: int, lines_each: int = 4, seed: int = 2) -> list[Path]:
    """Write many small sessions, a hundred to a folder, quickly: only the ids differ; returns them."""
    rng = random.Random(seed)
    stem = _uuid(0)
    texts = [b"".join(itertools.islice(lines(rng, stem), lines_each)) for _ in range(200)]
    paths = []
    for number in range(sessions):
        folder = root / f"user{number // 100 % 50:02d}" / f"project-{number // 5000}"
        if number % 100 == 0:
            folder.mkdir(parents=True)
        name = _uuid(number)
        path = folder / f"{name}.jsonl"
        own = texts[number % len(texts)].replace(stem.encode(), name.encode())
        path.write_bytes(own.replace(stem[:8].encode(), name[:8].encode()))
        paths.append(path)
    return paths
