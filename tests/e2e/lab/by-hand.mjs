/**
 * The lab for a person: `node tests/e2e/lab/by-hand.mjs sym tls443`, as root, lays the network with
 * routers of these kinds (the files in nat/), starts a server on it, says how to get in, and takes
 * it all away at Ctrl-C.
 */
import { once } from "node:events";

import { authority } from "../browser/browsers.mjs";
import { Lab } from "./lab.mjs";

const [a = "port", b = "port"] = process.argv.slice(2);
const lab = new Lab();
let stop = () => {};
try {
  await lab.arrange({ a: { nat: a }, b: { nat: b } });
  const { origin } = await lab.serve({ after: (end) => (stop = end) });
  const on = (node) => lab.network.on(node).join(" ");
  console.log(`The page:  ${origin}/?room=tea, of an authority that is in ${authority.file}

client-a, behind ${a}:  ${on("client-a")} bash
client-b, behind ${b}:  ${on("client-b")} bash
The server:  ${on("server")} bash
What passes a router:  ${on("router-a")} conntrack -E

Whether a client gets through:
  ${on("client-a")} curl --cacert ${authority.file} ${origin}/ice
A browser there that trusts this authority:
  HOME=${authority.home()} ${on("client-a")} chromium --no-sandbox --use-fake-device-for-media-stream '${origin}/?room=tea'

Ctrl-C ends it.`);
  await once(process, "SIGINT");
} finally {
  await stop();
  await lab.close();
  authority.forget();
}
