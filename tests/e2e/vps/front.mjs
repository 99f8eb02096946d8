/**
 * The public side of the authority: `front.mjs ADDRESS CERT KEY CA` serves its name and its
 * directory on port 443, hands the rest to pebble, and adds renewal information (RFC 9773), which
 * pebble 2.4 does not know. After the line `renew` on its input it suggests to renew at
 * once what it has been asked about before.
 */
import { readFileSync } from "node:fs";
import { createServer, request } from "node:https";
import { createInterface } from "node:readline";

const [address, cert, key, ca] = process.argv.slice(2);
const DAY_MS = 24 * 3600 * 1000;
const trusted = readFileSync(ca);
/** Certificates that were asked about, and those of them to be renewed. */
const [known, urgent] = [new Set(), new Set()];

const server = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (incoming, outgoing) => {
  const { method, url, headers } = incoming;
  if (url.startsWith("/renewal-info/")) return suggest(url, outgoing);
  const directory = url === "/directory";
  const onward = request({ host: "localhost", port: 14000, path: directory ? "/dir" : url, method, headers, ca: trusted, servername: "localhost" }, async (answer) => {
    if (!directory) return void answer.pipe(outgoing.writeHead(answer.statusCode, answer.headers));
    let text = "";
    for await (const chunk of answer) text += chunk;
    const complete = { ...JSON.parse(text), renewalInfo: `https://${headers.host}/renewal-info` };
    outgoing.writeHead(answer.statusCode, { "content-type": "application/json" }).end(JSON.stringify(complete));
  });
  onward.on("error", (error) => outgoing.writeHead(502).end(error.message));
  incoming.pipe(onward);
});

/** A window in the past, or one in a month. */
function suggest(certificate, outgoing) {
  known.add(certificate);
  const from = Date.now() + (urgent.has(certificate) ? -2 : 30) * DAY_MS;
  const suggestedWindow = { start: new Date(from), end: new Date(from + DAY_MS) };
  outgoing.writeHead(200, { "content-type": "application/json", "retry-after": "21600" }).end(JSON.stringify({ suggestedWindow }));
}

createInterface(process.stdin).on("line", () => {
  for (const certificate of known) urgent.add(certificate);
  console.log("suggesting");
}).on("close", () => process.exit());
server.listen(443, address, () => console.log("ready"));
