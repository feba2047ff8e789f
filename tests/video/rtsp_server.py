"""A camera with RTSP: answers one client at a time and sends a transport stream, then hangs up."""

import socketserver
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

PACKET, TOGETHER, MP2T = 188, 7, 33
SDP = "\r\n".join(
    (
        *("v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=gate", "t=0 0"),
        *(f"m=video 0 RTP/AVP {MP2T}", "a=control:track", ""),
    )
)


class _Camera(socketserver.StreamRequestHandler):
    server: "_Server"

    def handle(self) -> None:
        while request := self._request():
            method, number = request
            if method == "DESCRIBE":
                self._answer(number, "Content-Type: application/sdp", SDP)
            elif method == "SETUP":
                self._answer(number, "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1")
            elif method == "PLAY":
                self._answer(number, "Session: 1")
                self.server.plays += 1
                self._send()
                return
            else:
                self._answer(number, "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")

    def _request(self) -> tuple[str, str] | None:
        lines = list[str]()
        while (line := self.rfile.readline().decode()) not in ("\r\n", ""):
            lines.append(line.strip())
        if not lines:
            return None
        number = next(each.split(":")[1] for each in lines if each.lower().startswith("cseq"))
        return lines[0].split()[0], number.strip()

    def _answer(self, number: str, headers: str, body: str = "") -> None:
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        told = f"RTSP/1.0 200 OK\r\nCSeq: {number}\r\n{headers}\r\n{length}\r\n{body}"
        self.wfile.write(told.encode())

    def _send(self) -> None:
        """Send the stream in RTP, interleaved with the connection (RFC 2326, section 10.12)."""
        content, size = self.server.content, PACKET * TOGETHER
        for number, start in enumerate(range(0, len(content), size)):
            part = content[start : start + size]
            header = struct.pack(">BBHII", 0x80, MP2T, number & 0xFFFF, number * 3000, 1)
            self.wfile.write(struct.pack(">cBH", b"$", 0, len(header) + len(part)) + header + part)
            time.sleep(self.server.pause)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    content: bytes
    pause: float
    plays = 0


@contextmanager
def rtsp_camera(content: bytes, pause: float = 0.002) -> Iterator[tuple[str, "_Server"]]:
    """Serve a transport stream; gives the address, and the server, which counts its clients."""
    server = _Server(("127.0.0.1", 0), _Camera)
    server.content, server.pause = content, pause
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"rtsp://127.0.0.1:{server.server_address[1]}/gate", server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
