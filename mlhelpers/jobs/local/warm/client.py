"""The command of a trial that starts warm: `python -I -S client.py ADDRESS PYTHON [-P] -m MODULE …`.

It hands its arguments, environment, working folder and standard streams to the server, stays for as long as the
server's child runs, and ends the way that one ends: with its exit code, or by the same signal. When there is no server,
or it declines, this process becomes the command itself: the trial then starts cold, and nothing else differs.

Run by its path, without site-packages, so it needs the standard library alone and little of that: it starts in about
20 ms. The messages are described here and read by the server:

    client: length (4 bytes), then the request, and with its first byte four file descriptors: 0, 1, 2, working folder
    server: b"D", it declines; or b"S", it forks now, then b"E" and the child's wait status (4 bytes), or b"D" after all
    client: any further byte is the number of a signal for the child
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

__all__ = ["DECLINED", "ENDED", "NUMBER", "STARTED", "main", "pack", "peer_uid", "unpack"]

DECLINED, STARTED, ENDED = b"D", b"S", b"E"
NUMBER = struct.Struct("=I")
_PATIENCE_S = 120.0  # for a server that is still importing; an import of TensorFlow takes 10 s, on a busy machine 40
_FORWARDED = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2}


def pack(words: Sequence[str], environment: Mapping[bytes, bytes]) -> bytes:
    """Return a request as bytes; neither words nor variables can hold a zero byte."""
    variables = [name + b"=" + value for name, value in environment.items()]
    parts = [str(len(words)).encode(), *map(os.fsencode, words), *variables]
    return b"\0".join(parts)


def peer_uid(connection: socket.socket) -> int:
    """Return whose process is at the other end."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("=iII"))
    return int(struct.unpack("=iII", credentials)[1])


def unpack(request: bytes) -> tuple[list[str], dict[bytes, bytes]]:
    """Return the words and the environment of a request.

    Raises:
        ValueError: It is none.
    """
    count, *parts = request.split(b"\0")
    words, variables = parts[: int(count)], parts[int(count) :]
    environment = dict(variable.split(b"=", 1) for variable in variables)
    return [os.fsdecode(word) for word in words], environment


def main() -> None:
    """Have the server run the command, or run it here; does not return."""
    address, command = sys.argv[1], sys.argv[2:]
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED | {signal.SIGIO})
    try:
        server = _connected(address, command[1:])
    except OSError:  # there is no server any more, or the working folder is gone
        server = None
    status = None if server is None else _wait(server)
    if server is not None:
        server.close()
    if status is not None:
        _end_like(status)
    signal.signal(signal.SIGIO, signal.SIG_IGN)  # forgets one that is pending
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    os.execv(command[0], command)  # noqa: S606  # the command as it was given to this process


def _connected(address: str, words: Sequence[str]) -> socket.socket:
    """Send the request and return the connection, whose answers raise SIGIO."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.connect(address.replace("@", "\0", 1))  # "@" as ss(8) and others write the zero byte of an abstract address
    if peer_uid(server) != os.getuid():
        raise PermissionError("the server is another user's")
    request = pack(words, os.environb)
    message = NUMBER.pack(len(request)) + request
    folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        sent = socket.send_fds(server, [message], [0, 1, 2, folder])
    finally:
        os.close(folder)
    if sent < len(message):  # sending nothing would fail where the server has read it all, and been killed since
        server.sendall(message[sent:])
    server.setblocking(False)
    fcntl.fcntl(server, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(server, fcntl.F_SETFL, fcntl.fcntl(server, fcntl.F_GETFL) | os.O_ASYNC)
    return server


def _wait(server: socket.socket) -> int | None:
    """Wait for the child's end and return its wait status; None where it was not started.

    A server that is killed takes its child with it, so the status is then that of a process killed alike.
    """
    answers = b""
    patience_ends = time.monotonic() + _PATIENCE_S
    while True:
        try:
            while received := server.recv(64):
                answers += received
            is_over = True
        except BlockingIOError:
            is_over = False
        except OSError:
            is_over = True
        has_started = answers[:1] == STARTED
        after = answers.removeprefix(STARTED)
        if after[:1] == DECLINED:
            return None
        if after[:1] == ENDED and len(after) > NUMBER.size:
            return int(NUMBER.unpack_from(after, 1)[0])
        if is_over:
            return int(signal.SIGKILL) if has_started else None
        if _look_at_signals(server, has_started, patience_ends):
            return None


def _look_at_signals(server: socket.socket, has_started: bool, patience_ends: float) -> bool:
    """Wait for an answer or a signal, and pass signals on; tell whether patience with a silent server is over."""
    expected = _FORWARDED | {signal.SIGIO}
    if has_started:
        told = signal.sigwaitinfo(expected)
    else:
        left = patience_ends - time.monotonic()
        awaited = signal.sigtimedwait(expected, left) if left > 0 else None
        if awaited is None:
            return True
        told = awaited
    if told.si_signo == signal.SIGIO:
        return False
    if not has_started:
        _end_like(told.si_signo)
    # the supervisor finds the child by its token and tells it by itself; twice, it would cut short the saving of a
    # trainer whose handler raises
    if told.si_pid != os.getppid():
        with suppress(OSError):  # the server is gone; the next look at the connection sees it
            server.send(bytes([told.si_signo]))
    return False


def _end_like(status: int) -> None:
    """End with the exit code or by the signal of a wait status."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        os._exit(code)
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the child has left its core file, if any
    if -code not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(-code, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {-code})
    os.kill(os.getpid(), -code)
    os._exit(128 - code)  # a signal that ends nothing, as SIGCHLD; the kernel ends no child by such a one


if __name__ == "__main__":
    main()
