/** A lab that lasts as long as the file of tests that opens it. */
import { after } from "node:test";

import { authority } from "../browser/browsers.mjs";
import { Lab } from "./lab.mjs";

/** @param {import("./network.mjs").Network} [network] */
export function openLab(network) {
  const lab = new Lab(network);
  after(async () => {
    try {
      await lab.close();
    } finally {
      authority.forget();
    }
  });
  return lab;
}
