"""The process that has the frameworks imported and forks itself for each trial.

Started by `WarmPython` as `python -P -m mlhelpers.jobs.local.warm.server LISTENER OWNER PRELOAD…`: the number of an
inherited, listening socket, the process it ends with, and what to import. It never runs a user's code.

A fork copies the calling thread alone, and a lock that another one held stays locked in the copy for ever. So before
each fork the threads are counted, and with more than one the server declines.
"""

from __future__ import annotations

import gc
import importlib
import os
import re
import select
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from mlhelpers.jobs.local.identity import TOKEN_VARIABLE, TokenPlace, die_with_parent
from mlhelpers.jobs.local.warm.child import Request, base_path, become
from mlhelpers.jobs.local.warm.client import DECLINED, ENDED, NUMBER, STARTED, peer_uid, unpack

__all__ = ["main"]

_STREAMS = 4  # 0, 1, 2 and the working folder
_REQUEST_BYTES = 1 << 23  # Linux starts no program with more than 6 MiB of arguments and environment
_READ_S = 5.0
# What may be another in a trial than in the server, for nothing reads it while it is imported; any other variable may
# have been read, and would come too late.
_OF_A_TRIAL = re.compile(
    r"(CLOUD_ML|AIP|MLHELPERS)_\w+|TF_CONFIG|CLUSTER_SPEC|PYTHONPATH|PWD|OLDPWD|SHLVL|_|LC_CTYPE|LINES|COLUMNS"
    r"|(OMP|OPENBLAS|MKL|NUMEXPR|TF_NUM_INTRAOP|TF_NUM_INTEROP)(_NUM)?_THREADS"
)


def main() -> None:
    """Import what is asked for and serve until the owner ends; each child becomes its trial."""
    listener, owner, preload = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]), sys.argv[3:]
    die_with_parent()
    if os.getppid() != owner:  # it has ended already
        return
    signal.signal(
        signal.SIGCHLD, signal.SIG_DFL
    )  # ignored, as an owner may hand it on, it would leave no end to wait for
    server = _Server(listener)
    for name in preload:
        module, _, function = name.partition(":")
        imported = importlib.import_module(module)
        if function:
            getattr(imported, function)()
    gc.collect()
    gc.freeze()  # no collection in a child touches, and so copies, the pages that all share
    become(server.serve(), server.path)


class _DeclinedError(Exception):
    """A request that is not to be served from here."""


@dataclass
class _Child:
    pid: int
    handle: int
    client: socket.socket | None


class _Server:
    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.token_place = TokenPlace()
        self.environment = dict(os.environb)
        self.path = base_path()
        self.children: list[_Child] = []
        os.close(os.pidfd_open(os.getpid()))  # where the kernel has none it is better said now

    def serve(self) -> Request:
        """Fork for each request; returns in the children alone."""
        while True:
            clients = {child.client.fileno(): child for child in self.children if child.client}
            handles = {child.handle: child for child in self.children}
            ready, _, _ = select.select([self.listener.fileno(), *clients, *handles], [], [])
            for number in ready:
                if number in clients:
                    self._hear(clients[number])
            for number in ready:
                if number in handles:
                    self._bury(handles[number])
            if self.listener.fileno() in ready and (request := self._answer()):
                return request

    def _answer(self) -> Request | None:
        """Take one request; returns it in the child."""
        client, _ = self.listener.accept()
        streams: list[int] = []
        try:
            if peer_uid(client) != os.getuid():
                raise _DeclinedError("the client is another user's")
            client.settimeout(_READ_S)
            request = _read(client, streams)
            self._check(request)
            client.sendall(STARTED)  # before the fork: were this process killed between the two, two would start
            return self._fork(client, request)
        except (_DeclinedError, OSError, ValueError) as error:
            print(f"declined: {error}", file=sys.stderr)
            with suppress(OSError):
                client.sendall(DECLINED)
            client.close()
            return None
        finally:
            for stream in streams:
                os.close(stream)

    def _check(self, request: Request) -> None:
        words = request.words[1:] if request.words[:1] == ["-P"] else request.words
        if len(request.streams) != _STREAMS or len(words) < 2 or words[0] != "-m":
            raise _DeclinedError("no request for a module")
        if differing := _differing(self.environment, request.environment):
            raise _DeclinedError(f"other variables than at the import: {', '.join(differing)}")
        if not self.token_place.fits(request.environment.get(TOKEN_VARIABLE.encode(), b"")):
            raise _DeclinedError(f"no place for the value of {TOKEN_VARIABLE}")
        if (threads := len(os.listdir("/proc/self/task"))) != 1:
            raise _DeclinedError(f"{threads} threads run here, and a fork is safe with one alone")

    def _fork(self, client: socket.socket, request: Request) -> Request | None:
        me = os.getpid()
        pid = os.fork()
        if pid:
            self.children.append(_Child(pid, os.pidfd_open(pid), client))
            return None
        os.setsid()
        die_with_parent()
        if os.getppid() != me:
            os._exit(-signal.SIGKILL)
        self.token_place.write(request.environment[TOKEN_VARIABLE.encode()])
        for number, stream in enumerate(request.streams[:3]):
            os.dup2(stream, number)
        os.fchdir(request.streams[3])
        for held in (self.listener, client, *(child.client for child in self.children if child.client)):
            held.close()
        for child in self.children:
            os.close(child.handle)
        return request

    def _hear(self, child: _Child) -> None:
        """Pass a client's signals on; kill the child of a client that is gone."""
        assert child.client is not None
        try:
            numbers = child.client.recv(64)
        except OSError:
            numbers = b""
        if not numbers:
            # as the trial itself had been killed; later it would write next to the one that is started again
            child.client.close()
            child.client = None
            numbers = bytes([signal.SIGKILL])  # by itself too: it may not have made its group yet
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
        for number in numbers:
            os.kill(child.pid, number)  # it is there, if only to be waited for

    def _bury(self, child: _Child) -> None:
        _, status = os.waitpid(child.pid, 0)
        self.children.remove(child)
        os.close(child.handle)
        if child.client:
            with suppress(OSError):
                child.client.sendall(ENDED + NUMBER.pack(status))
            child.client.close()


def _read(client: socket.socket, streams: list[int]) -> Request:
    """Read a request; its file descriptors are in `streams` as soon as they are there, to be closed whatever comes."""
    message, received, _, _ = socket.recv_fds(client, 1 << 16, _STREAMS)
    streams += received
    while len(message) < NUMBER.size or len(message) < NUMBER.size + _length(message):
        part = client.recv(1 << 16)
        if not part:
            raise _DeclinedError("the client is gone")
        message += part
    words, environment = unpack(message[NUMBER.size :])
    return Request(words, environment, tuple(streams))


def _length(message: bytes) -> int:
    length: int = NUMBER.unpack_from(message)[0]
    if length > _REQUEST_BYTES:
        raise _DeclinedError(f"a request of {length} bytes")
    return length


def _differing(mine: Mapping[bytes, bytes], asked: Mapping[bytes, bytes]) -> Sequence[str]:
    names = sorted(os.fsdecode(name) for name in {*mine, *asked} if mine.get(name) != asked.get(name))
    return [name for name in names if not _OF_A_TRIAL.fullmatch(name)]


if __name__ == "__main__":
    main()
