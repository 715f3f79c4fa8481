"""What the scripts write: lines of transcripts, and some that are none."""

import json
import random


def lines_of(tree, seed, count):
    """Lines like those of transcripts, and some that are none; those of other seeds and scripts are other lines."""
    rng = random.Random(seed)
    return [_line((tree.script * 10_000 + seed) * 100_000 + n, rng) for n in range(count)]


def _line(number, rng):
    kind = rng.choices(("call", "result", "usage", "odd"), (6, 3, 2, 1))[0]
    if kind == "odd":
        return rng.choice(
            (b"\n", b"no object %d\n", b"[%d]\n", b'"\xff\xfe%d"\n', b'{"n": %d\n', b'{"n":%d}\r\n')
        ).replace(b"%d", b"%d" % number)
    stamp = (
        f"2026-{1 + number // 86_400 % 12:02}-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}Z"
    )
    turn = {"type": "assistant", "uuid": f"u{number}", "sessionId": "s", "timestamp": stamp}
    if kind == "result":
        block = {"type": "tool_result", "tool_use_id": f"t{number - 1}", "is_error": number % 3 == 0, "content": "x"}
        turn |= {"type": "user", "message": {"role": "user", "content": [block]}}
    else:
        text = "x" * int(rng.expovariate(1 / 100))
        block = {"type": "tool_use", "id": f"t{number}", "name": "Bash", "input": {"command": text}}
        message = {"role": "assistant", "id": f"m{number}", "model": "m", "content": [block]}
        if kind == "usage":
            message["usage"] = {"input_tokens": number % 1000, "output_tokens": 7}
        turn |= {"message": message}
    return json.dumps(turn).encode() + b"\n"


def content(tree, seed, count):
    return b"".join(lines_of(tree, seed, count))
