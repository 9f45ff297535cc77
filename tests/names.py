"""A name server on the loopback: names that stand for several addresses, and for others a moment later."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Sequence

_A, _IN = 1, 1


class Names:
    """Answers every question about a name with `addresses`, IPv4, which a test may change."""

    def __init__(self, *addresses: str) -> None:
        self.addresses: Sequence[str] = addresses
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._answer)

    def __enter__(self) -> Names:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()

    def _answer(self) -> None:
        while True:
            query, caller = self._socket.recvfrom(4096)
            if not query:
                return
            end = query.index(b"\0", 12) + 5  # the name, its end, type and class
            (kind,) = struct.unpack("!H", query[end - 4 : end - 2])
            found = self.addresses if kind == _A else ()
            head = query[:2] + struct.pack("!5H", 0x8580, 1, len(found), 0, 0)
            # Each points to the question's name at byte 12, and may be kept for no time.
            records = [struct.pack("!HHHIH", 0xC00C, _A, _IN, 0, 4) + socket.inet_aton(each) for each in found]
            self._socket.sendto(head + query[12:end] + b"".join(records), caller)
