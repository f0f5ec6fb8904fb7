# SPDX-License-Identifier: BSL-1.0
"""Bytes from one end to another in memory, read with asyncio's StreamReader, as asynchio's stream_pair."""

import asyncio

from reference.waits import wait_

LIMIT = 8
DELIMITER = b";"
PAYLOADS = {"one": b"a", "two": b"bb", "line": b"ab\n", "lines": b"c\ndd\n", "part": b"x;y", "long": b"0123456789"}


class taking_reader(asyncio.StreamReader):
    """Takes what has come in its own task's turn."""

    def __init__(self, pipe, loop):
        super().__init__(limit=LIMIT, loop=loop)
        self.pipe = pipe

    async def _wait_for_data(self, name):
        await super()._wait_for_data(name)
        self.pipe.pull()


class pipe:
    """One writing and one reading end. What has come waits until a read wants it, as in a system."""

    def __init__(self, loop):
        self.loop = loop
        self.reader = taking_reader(self, loop)
        self.enough = None  # of the one read that is under way: tells whether what there is will do
        self.ended = False
        self.closed = False
        self.failed = False  # a write has: the error stays
        self.reader_closed = False
        self.coming = []  # None is the end
        self.seen_empty = False
        self.told = False
        self.end_told = False

    def write(self, data):
        if self.failed:
            raise BrokenPipeError()
        if self.ended or self.closed:
            raise RuntimeError("write after the end")
        if self.reader_closed:
            self.failed = True
            raise BrokenPipeError()
        self.send(data)

    def write_eof(self):
        if self.failed:
            raise BrokenPipeError()
        if self.ended:
            return
        if self.closed:
            raise RuntimeError("write_eof after the end")
        self.ended = True
        self.send(None)

    def close(self):
        if not self.closed:
            self.closed = True
            if not self.ended:
                self.send(None)

    def close_reader(self):
        if not self.reader_closed:
            self.reader_closed = True
            self.reader.feed_eof()

    def send(self, what):
        """A read that is under way hears of it in the next iteration."""
        self.coming.append(what)
        if not self.waits():
            self.seen_empty = False
            self.end_told = self.end_told or what is None
        elif not self.told:
            self.told = True
            self.loop.call_soon(self.tell)

    def waits(self):
        """Whether a read is under way; one that was cancelled is not."""
        waiter = self.reader._waiter
        return self.enough is not None and not (waiter is not None and waiter.cancelled())

    def tell(self):
        self.told = self.seen_empty = False
        self.end_told = self.end_told or None in self.coming
        if self.waits():
            self.reader._wakeup_waiter()

    def pull(self):
        """Takes the bytes; the end with them only if it has been told of."""
        self.seen_empty = True
        if self.reader_closed:
            return
        data = b"".join(filter(None, self.coming))
        if data:
            self.reader.feed_data(data)
        if None in self.coming and (not data or self.end_told):
            self.reader.feed_eof()
            self.coming = []
        else:
            self.coming = [None] if None in self.coming else []

    async def read_line(self):
        """asyncio's reports a line that is too long as a ValueError."""
        try:
            return await self.reader.readline()
        except ValueError:
            raise asyncio.LimitOverrunError("too long", 0) from None

    async def read_all(self):
        """asyncio's loses, when it is cancelled, what it has read."""
        while not self.reader._eof:
            await self.reader._wait_for_data("read")
        data = bytes(self.reader._buffer)
        self.reader._buffer.clear()
        return data


async def reading(w, s, place, enough, make):
    one = w.streams[place]
    if one.enough is not None or one.reader_closed:
        return w.tells(s, "closed" if one.enough is None else "busy")
    one.enough = enough
    try:
        if not one.seen_empty and not enough(one.reader._buffer):
            one.pull()
        data = await make(one)
    finally:
        one.enough = None
    return w.tells(s, "read", "'" + data.decode().replace("\n", "$") + "'")


@wait_
async def write(w, s, place, payload):
    w.streams[place].write(PAYLOADS[payload])
    w.tells(s, "written")


@wait_
async def read(w, s, place):
    await reading(w, s, place, len, lambda one: one.reader.read(1))


@wait_
async def read_exactly(w, s, place, count):
    await reading(w, s, place, lambda buffer: len(buffer) >= count, lambda one: one.reader.readexactly(count))


def delimited(delimiter):
    return lambda buffer: delimiter in buffer or len(buffer) > LIMIT


@wait_
async def read_line(w, s, place):
    await reading(w, s, place, delimited(b"\n"), lambda one: one.read_line())


@wait_
async def read_until(w, s, place):
    await reading(w, s, place, delimited(DELIMITER), lambda one: one.reader.readuntil(DELIMITER))


@wait_
async def read_all(w, s, place):
    await reading(w, s, place, lambda buffer: False, lambda one: one.read_all())
