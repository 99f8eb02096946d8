/** The part of mediabunny that the page uses. Its own types are for its own build. */
export interface StreamTargetChunk {
  type: "write";
  data: Uint8Array<ArrayBuffer>;
  position: number;
}
export class BlobSource {
  constructor(blob: Blob);
}
export class StreamTarget {
  constructor(writable: WritableStream<StreamTargetChunk>, options?: { chunked?: boolean; chunkSize?: number });
}
export class BufferTarget {
  buffer: ArrayBuffer | null;
}
export class OutputFormat {
  constructor(options?: { fastStart?: false | "in-memory" | "fragmented" });
}
export class Mp4OutputFormat extends OutputFormat {}
export class WebMOutputFormat extends OutputFormat {}
export class MkvOutputFormat extends OutputFormat {}
export class OggOutputFormat extends OutputFormat {}
export class WavOutputFormat extends OutputFormat {}
export const ALL_FORMATS: unknown[];
export class Input {
  constructor(options: { source: BlobSource; formats: unknown[] });
  computeDuration(): Promise<number>;
  dispose(): void;
}
export class Output {
  constructor(options: { format: OutputFormat; target: StreamTarget | BufferTarget });
}
export interface TrackOptions {
  discard?: boolean;
  codec?: string;
  bitrate?: number;
}
export class Conversion {
  static init(options: {
    input: Input;
    output: Output;
    video?: TrackOptions;
    audio?: TrackOptions;
    copy?: { shiftTolerance?: number };
    showWarnings?: boolean;
  }): Promise<Conversion>;
  isValid: boolean;
  discardedTracks: { reason: string }[];
  onProgress?: (progress: number) => unknown;
  execute(): Promise<void>;
  cancel(): Promise<void>;
}
