"""What tests of the language model share: a server, and extractors that ask it."""

import pytest

from processors.verification.llm import LlmExtractor, LlmOptions
from processors.verification.llm.asking import asking
from tests.processors.verification.llm.server import model_server

__all__ = ["model_server"]

PROVIDERS = ("anthropic", "openai")


@pytest.fixture(params=PROVIDERS)
def provider(request):
    return request.param


@pytest.fixture
def options(model_server, tmp_path, provider):
    """Makes options for the server."""

    def make(**more):
        given = {"timeout": 30.0, "answers": str(tmp_path / "answers.sqlite"), **more}
        return LlmOptions(**model_server.options(provider, **given))

    return make


@pytest.fixture
def extractor(options):
    """Makes an extractor that does not wait between its own retries, but notes for how long it would."""

    def make(**more):
        made = LlmExtractor(options(**more))
        made.waited = []
        made._asking._sleep = made.waited.append
        return made

    return make


@pytest.fixture
def spent():
    """The tokens of the day, as the cache of an extractor has them."""
    return lambda extractor: extractor._asking.answers.spent()


@pytest.fixture
def again():
    """The same extractor in a new process, as it were."""

    def make(options):
        from processors.verification.llm.asking import close  # noqa: PLC0415

        close()
        made = LlmExtractor(options)
        asking(options)._sleep = [].append
        return made

    return make
