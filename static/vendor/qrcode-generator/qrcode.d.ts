/** The part of qrcode-generator that the page uses. Its own types are for CommonJS. */
export interface QRCode {
  addData(data: string, mode?: "Numeric" | "Alphanumeric" | "Byte" | "Kanji"): void;
  make(): void;
  /** Modules in a row, without a margin. */
  getModuleCount(): number;
  isDark(row: number, column: number): boolean;
}
/** Type 0 is the smallest that holds the data. */
export const qrcode: (type: number, errorCorrection: "L" | "M" | "Q" | "H") => QRCode;
