"""What comes over the runtime's socket is a document, or is refused in a way that its reader expects."""

import socket
import threading

import pytest

from headrace.contracts.files import ContractError
from headrace.contracts.runtime import receive_message


@pytest.mark.parametrize("message", [b'{"a":' * 100_000 + b"\n", b"{\n", b"[]\n", b"\xff\n", b"{"], ids=len)
def test_what_is_no_document_is_refused(message: bytes) -> None:
    ours, theirs = socket.socketpair()

    def send() -> None:
        with theirs:
            theirs.sendall(message)

    sender = threading.Thread(target=send)
    sender.start()
    with ours, pytest.raises(ContractError):
        receive_message(ours)
    sender.join()
