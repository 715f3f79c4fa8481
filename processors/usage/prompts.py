"""Prompts: what a person wrote, as one row each."""

from processors.contract import Table

PROMPT_LINES = Table(
    "usage_prompt_lines",
    {
        "id": "BIGINT",
        "session_id": "VARCHAR",
        "event_uuid": "VARCHAR",
        "cwd": "VARCHAR",
        "git_branch": "VARCHAR",
        "client_version": "VARCHAR",
        "occurred_at": "TIMESTAMP",
    },
)
"""Each line that is a prompt, as it stands in a file. Resumed sessions copy old lines, with the same ``id``: never
count these rows, see the view ``usage_prompts``."""
