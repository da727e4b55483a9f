"""A run whose content has an exact size, for files that fill whole chunks."""

from vector_basis import Value, canonical
from vector_cast import ACCOUNT, device
from vector_sealing import run_of
from vector_story import Author


def run_of_size(size: int) -> dict[str, Value]:
    """A run of one event, its content `size` bytes long by the data of an icon; size is above 65,536 + 2,048."""
    data = size - 2048
    for _ in range(3):
        made = _run(data)
        data += size - len(canonical(made))
    if len(canonical(made)) != size:
        raise AssertionError(size)
    return made


def _run(data: int) -> dict[str, Value]:
    a = Author(device("A")).open()
    event = a.edit({"icon": {"mime": "image/png", "data": bytes(data)}}, ACCOUNT)
    return run_of(a.device, [event])
