/** SHA-256 of hash-wasm. The script adds `hashwasm` to the global scope. */
export {};

declare global {
  var hashwasm: { createSHA256(): Promise<Hasher> };

  interface Hasher {
    init(): Hasher;
    update(data: Uint8Array): Hasher;
    digest(): string;
  }
}
