/** Mixed sound of a recording: tracks may come and go. */

export class Mixer {
  // At the rate of the devices: Firefox mixes no others.
  #context = new AudioContext();
  #destination = new MediaStreamAudioDestinationNode(this.#context, { channelCount: 2 });
  /** @type {Map<MediaStreamTrack, MediaStreamAudioSourceNode>} */
  #sources = new Map();

  constructor() {
    // A phone call suspends it.
    this.#context.addEventListener("statechange", () => this.#context.state === "suspended" && this.resume());
  }

  /** Track of the mixed sound: silence without sources. */
  get track() {
    return this.#destination.stream.getAudioTracks()[0];
  }

  resume() {
    return this.#context.resume().catch(() => {});
  }

  /** @param {Set<MediaStreamTrack>} tracks */
  mix(tracks) {
    for (const [track, source] of this.#sources) {
      if (tracks.has(track) && track.readyState === "live") continue;
      source.disconnect();
      this.#sources.delete(track);
    }
    for (const track of tracks) {
      if (track.readyState !== "live" || this.#sources.has(track)) continue;
      try {
        const source = this.#context.createMediaStreamSource(new MediaStream([track]));
        source.connect(this.#destination);
        this.#sources.set(track, source);
      } catch (error) {
        console.warn(error); // the others go on
      }
    }
  }

  close() {
    this.mix(new Set());
    this.track.stop();
    this.#context.close().catch(() => {});
  }
}
