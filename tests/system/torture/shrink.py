"""The smallest part of a script that still fails."""


def shrink(script, fails):
    """Leave out what can be left out: halves first, single actions in the end. ``fails``: whether a script does."""
    size = max(1, len(script) // 2)
    while True:
        start = 0
        while start < len(script):
            shorter = script[:start] + script[start + size :]
            if shorter and fails(shorter):
                script = shorter
            else:
                start += size
        if size == 1:
            return script
        size = max(1, size // 2)
