"""What peer.py shows, and what it does with what it is shown."""

from aiortc import VideoStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import VideoFrame


class Stripes(VideoStreamTrack):
    """30 frames a second, each other than the one before."""

    async def recv(self):
        frame = VideoFrame(320, 240, "yuv420p")
        frame.pts, frame.time_base = await self.next_timestamp()
        luma, *chroma = frame.planes
        shift = frame.pts // 750 % 256
        luma.update((bytes(range(256)) * (luma.buffer_size // 256 + 2))[shift:][: luma.buffer_size])
        for plane in chroma:
            plane.update(b"\x80" * plane.buffer_size)  # grey
        return frame


async def watch(track, tell):
    """Takes all that comes, so that nothing piles up, and tells of every 30 decoded frames."""
    count = 0
    try:
        while True:
            await track.recv()
            count += 1
            if track.kind == "video" and count % 30 == 0:
                tell("frames", count=count)
    except MediaStreamError:
        pass  # it ended
