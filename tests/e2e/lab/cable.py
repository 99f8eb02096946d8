#!/usr/bin/env python3
"""A bad cable between two network namespaces: two TAP devices, and this process that carries frames from one to the other.

    cable.py NAMESPACE:DEVICE NAMESPACE:DEVICE DELAY_MS LOSS_PERCENT KBPS

Each way has a delay, a share of frames that are lost at random, and a rate in kilobits per second (0: none) before which a
queue of QUEUE_MS is kept, in which there is no place for more. It prints `ready` when both devices are there; they go when
it ends. Not every kernel has netem, which would do the same.
"""

import ctypes
import fcntl
import os
import random
import select
import struct
import sys
import time
from collections import deque

QUEUE_MS = 150
CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000


def tap(end):
    """A TAP device in a namespace, as NAMESPACE:DEVICE names it: a file descriptor that frames are read from and written to."""
    namespace, device = end.split(":")
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/run/netns/{namespace}") as entrance:
        if libc.setns(entrance.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"entering {namespace}")
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TAP | IFF_NO_PI))
    return descriptor


class Way:
    """One direction: frames under way, which overtake none."""

    def __init__(self, source, sink, delay_ms, loss_percent, kbps):
        self.source, self.sink = source, sink
        self.delay, self.loss, self.kbps = delay_ms / 1000, loss_percent / 100, kbps
        self.free_at = 0.0  # when the frame before has left the queue
        self.under_way = deque()  # each with when it is due

    def receive(self):
        try:
            while True:
                self.accept(os.read(self.source, 65536), time.monotonic())
        except BlockingIOError:
            pass

    def accept(self, frame, now):
        if random.random() < self.loss:
            return
        leaves = max(now, self.free_at)
        if self.kbps:
            if leaves - now > QUEUE_MS / 1000:
                return
            leaves += len(frame) * 8 / (self.kbps * 1000)
        self.free_at = leaves
        self.under_way.append((leaves + self.delay, frame))

    def deliver(self):
        while self.under_way and self.under_way[0][0] <= time.monotonic():
            try:
                os.write(self.sink, self.under_way.popleft()[1])
            except OSError:
                pass  # the device is down, or its queue full: a frame is lost, as on any cable


def main():
    left, right = tap(sys.argv[1]), tap(sys.argv[2])
    quality = [float(number) for number in sys.argv[3:6]]
    ways = [Way(left, right, *quality), Way(right, left, *quality)]
    print("ready", flush=True)
    while True:
        due = [way.under_way[0][0] for way in ways if way.under_way]
        patience = max(0, min(due) - time.monotonic()) if due else None
        ready, _, _ = select.select([left, right], [], [], patience)
        for way in ways:
            if way.source in ready:
                way.receive()
            way.deliver()


if __name__ == "__main__":
    main()
