/** Ways of a camera's pictures to a worker, and back as a track. */

/** @typedef {import("./pipeline.js").Order} Order */
/** @typedef {(order: Order, transfer?: Transferable[]) => void} Send */

/**
 * Way to the worker and back.
 * @typedef {object} Frames
 * @property {MediaStreamTrack} track Pictures that came back.
 * @property {(camera: MediaStreamTrack) => void} connect
 * @property {(picture: ImageBitmap | null) => void} take Answer of the worker to a picture.
 * @property {() => void} close
 */

/** Chooses the best way that this browser has. @param {Send} send @returns {Frames} */
export const framesFor = (send) => {
  const { MediaStreamTrackProcessor: Processor, MediaStreamTrackGenerator: Generator } = /** @type {any} */ (globalThis);
  return Processor && Generator ? lent(send, Processor, Generator) : copied(send);
};

/**
 * Lends the track's streams to the worker, which no page has to keep alive: it goes on in a hidden
 * tab. The browser drops the pictures for which the worker has no time.
 * @param {Send} send @param {any} Processor @param {any} Generator @returns {Frames}
 */
function lent(send, Processor, Generator) {
  const generator = new Generator({ kind: "video" });
  send({ type: "sink", writable: generator.writable }, [generator.writable]);
  return {
    track: generator,
    connect: (camera) => {
      const { readable } = new Processor({ track: camera, maxBufferSize: 1 });
      send({ type: "source", readable }, [readable]);
    },
    take: () => {},
    close: () => generator.stop(),
  };
}

/**
 * Copies each picture to the worker and back, one at a time. A hidden tab has the four pictures a
 * second at which a video reports its time.
 * @param {Send} send @returns {Frames}
 */
function copied(send) {
  const video = Object.assign(document.createElement("video"), { muted: true, playsInline: true });
  const canvas = document.createElement("canvas");
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { alpha: false }));
  const [track] = canvas.captureStream().getVideoTracks();
  let isBusy = false;
  let isClosed = false;
  const step = async () => {
    if (isClosed || isBusy || !video.videoWidth) return;
    isBusy = true;
    try {
      const frame = await createImageBitmap(video);
      if (isClosed) frame.close();
      else send({ type: "frame", frame }, [frame]);
    } catch {
      isBusy = false; // The camera is changing.
    }
  };
  const next = () => {
    if (isClosed) return;
    video.requestVideoFrameCallback(next);
    step();
  };
  video.addEventListener("timeupdate", () => document.hidden && step());
  next();
  return {
    track,
    connect: (camera) => {
      video.srcObject = new MediaStream([camera]);
      video.play().catch(() => {});
    },
    take: (picture) => {
      isBusy = false;
      if (!picture) return;
      if (canvas.width !== picture.width || canvas.height !== picture.height) {
        Object.assign(canvas, { width: picture.width, height: picture.height });
      }
      context.drawImage(picture, 0, 0);
      picture.close();
    },
    close: () => {
      isClosed = true;
      video.srcObject = null;
      track.stop();
    },
  };
}
