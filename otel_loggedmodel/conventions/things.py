# SPDX-License-Identifier: Apache-2.0
"""What is read from telemetry, whoever wrote it: things that a convention may have a place for, and kinds of work."""

import enum


class Thing(str, enum.Enum):
    """One thing that spans say of a call, an agent or a trace; the value is what people call it."""

    INPUT_TOKENS = "input tokens"
    OUTPUT_TOKENS = "output tokens"
    TOTAL_TOKENS = "tokens in and out"
    CACHE_READ_TOKENS = "input tokens read from a cache"
    CACHE_WRITE_TOKENS = "input tokens written to a cache"
    REASONING_TOKENS = "output tokens of reasoning"
    INPUT_AUDIO_TOKENS = "input tokens of audio"
    INPUT_IMAGE_TOKENS = "input tokens of images"
    OUTPUT_AUDIO_TOKENS = "output tokens of audio"
    OUTPUT_IMAGE_TOKENS = "output tokens of images"
    CACHE_READ_AUDIO_TOKENS = "input tokens of audio read from a cache"
    COST = "cost in US dollars"
    CACHE_COST = "cost of cached input tokens in US dollars"
    PROVIDER = "provider"
    REQUEST_MODEL = "model asked for"
    RESPONSE_MODEL = "model that answered"
    RESPONSE_ID = "id of the response"
    KIND = "kind of work"
    ADDRESS = "address of the server"
    CONVERSATION = "conversation"
    USER = "user"
    PROMPT_NAME = "name of the prompt"
    PROMPT_VERSION = "version of the prompt"
    AGENT = "name of the agent"
    TOOL = "name of the tool"
    FIRST_CHUNK = "seconds until the first chunk"
    IS_STREAMED = "whether the answer was streamed"
    ERROR_TYPE = "type of the error"
    INPUT = "what went in"
    OUTPUT = "what came out"
    INPUT_MESSAGES = "messages that went in"
    OUTPUT_MESSAGES = "messages that came out"

    def __str__(self) -> str:
        """The text alone."""
        return self.value


class Kind(str, enum.Enum):
    """What kind of work a span is.

    The value is what scorers and MLflow call it. Of these, `LLM` and `EMBEDDING` are calls of a model, and the others
    may sum up the calls within them; `REPEAT` says again what a call beside it said, and does not count.
    """

    LLM = "LLM"
    EMBEDDING = "EMBEDDING"
    AGENT = "AGENT"
    CHAIN = "CHAIN"
    TOOL = "TOOL"
    RETRIEVER = "RETRIEVER"
    RERANKER = "RERANKER"
    GUARDRAIL = "GUARDRAIL"
    EVALUATOR = "EVALUATOR"
    BUILD = "BUILD"
    REPEAT = "REPEAT"

    def __str__(self) -> str:
        """The text alone."""
        return self.value


CALLS = (Kind.LLM, Kind.EMBEDDING)
"""The kinds that are one call of a model."""
