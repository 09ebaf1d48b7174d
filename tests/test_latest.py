# SPDX-License-Identifier: Apache-2.0
"""A memory keeps the keys that were set last."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from otel_loggedmodel._latest import Latest


@given(st.integers(1, 5), st.lists(st.integers(0, 9)))
def test_the_keys_that_were_set_last_are_kept_in_that_order(size: int, keys: list[int]) -> None:
    memory: Latest[int, int] = Latest(size)
    for place, key in enumerate(keys):
        memory[key] = place
    last_set = sorted({key: place for place, key in enumerate(keys)}.items(), key=lambda item: item[1])
    assert list(memory.items()) == last_set[-size:]


def test_threads_may_set_keys_at_once() -> None:
    memory: Latest[tuple[int, int], None] = Latest(100)

    def fill(thread: int) -> None:
        for number in range(5_000):
            memory[thread, number] = None

    threads = [threading.Thread(target=fill, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 100 - len(threads) <= len(memory) <= 100
