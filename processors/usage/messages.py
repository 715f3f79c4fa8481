"""Messages: each assistant line with usage, as it stands there."""

from processors.contract import Table

MESSAGES = Table(
    "usage_messages",
    {
        "session_id": "VARCHAR",
        "message_id": "VARCHAR",
        "request_id": "VARCHAR",
        "model": "VARCHAR",
        "is_sidechain": "BOOLEAN",
        "is_api_error": "BOOLEAN",
        "service_tier": "VARCHAR",
        "speed": "VARCHAR",
        "input_tokens": "BIGINT",
        "output_tokens": "BIGINT",
        "cache_creation_5m_tokens": "BIGINT",
        "cache_creation_1h_tokens": "BIGINT",
        "cache_read_tokens": "BIGINT",
        "stop_reason": "VARCHAR",
        "occurred_at": "TIMESTAMP",
        "web_searches": "BIGINT",
        "cwd": "VARCHAR",
        "git_branch": "VARCHAR",
        "agent_id": "VARCHAR",
        "response_key": "BIGINT",
    },
)
"""A response is several lines, and a resumed session copies old ones: never add these rows up, see the view
``usage_tokens``. Lines with the same message id have the same ``response_key``; without one, each has its own. An
empty id, tier or speed is none."""
