/** Restarts, replacements and their pauses, on a connection and a clock of the scenario's own. */
import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { restartWhenBroken } from "../../../../static/byway/ice-restart.js";
import { isHeard, watchForStalls } from "../../../../static/byway/stall.js";

/** Restarts of one end before it gives up. */
const MAX_RESTARTS = 6;

test("a broken path is restarted six times with bounded pauses, and then reported as lost", (scenario) => {
  const end = endOf(scenario);
  end.state("failed");
  const at = [];
  for (let second = 0; second < 120; second += 1) {
    const before = end.restarts;
    end.pass(1_000);
    if (end.restarts > before) at.push(second);
  }
  assert.equal(at.length, MAX_RESTARTS);
  const pauses = at.slice(1).map((second, index) => second - at[index]);
  assert.ok(Math.max(...pauses) <= 13, `pauses of ${pauses} s`);
  assert.deepEqual(end.failures, ["connection-failed", "connection-lost"]);
});

test("offers of the other end are no attempts of this one", (scenario) => {
  const end = endOf(scenario, { polite: true });
  end.state("disconnected");
  for (let round = 0; round < 3 * MAX_RESTARTS; round += 1) {
    end.signaling("have-remote-offer");
    end.signaling("stable");
    end.pass(1_000);
  }
  assert.equal(end.outage.attempts, 0);
  assert.equal(end.restarts, 0);
});

test("waiting for an answer, or for the server, is no attempt", (scenario) => {
  const end = endOf(scenario);
  end.signaling("have-local-offer");
  end.state("failed");
  end.pass(25_000);
  assert.deepEqual([end.outage.attempts, end.replacements], [0, 0]);
  end.canSignal = false;
  end.pass(300_000);
  assert.deepEqual([end.outage.attempts, end.replacements], [0, 0]);
  end.canSignal = true;
  end.pass(5_000);
  assert.deepEqual([end.outage.attempts, end.replacements], [1, 1]);
});

test("a peer that answers late was asleep, and the pauses begin again", (scenario) => {
  const end = endOf(scenario);
  end.state("failed");
  end.pass(30_000);
  assert.ok(end.outage.attempts >= 3);
  end.signaling("have-local-offer");
  end.pass(20_000);
  end.signaling("stable");
  assert.equal(end.outage.attempts, 0);
});

test("an end that gave up begins again when its network may have changed", (scenario) => {
  const end = endOf(scenario);
  end.state("failed");
  end.pass(200_000);
  assert.equal(end.restarts, MAX_RESTARTS);
  end.restarting.retry();
  end.pass(1);
  assert.equal(end.restarts, MAX_RESTARTS + 1);
});

test("a connection that never gathered, or that stays without encryption, is replaced", (scenario) => {
  const never = endOf(scenario, { gathered: false });
  never.signaling("have-local-offer");
  never.pass(21_000);
  assert.deepEqual([never.replacements, never.restarts], [1, 0]);

  const bare = endOf(scenario);
  Object.assign(bare.connection, { iceConnectionState: "connected" });
  bare.state("connecting");
  bare.pass(21_000);
  assert.deepEqual([bare.replacements, bare.restarts], [1, 0]);
});

test("a connection that delivers nothing from the start is replaced, and ever more seldom", async (scenario) => {
  const end = endOf(scenario);
  let stalls = 0;
  const peer = Object.assign(new EventTarget(), { ping: async () => {} });
  const { connection, outage, signal } = end;
  watchForStalls(connection, { peer, outage, canSignal: () => true, onStall: () => (stalls += 1), signal });
  end.state("connected");
  await end.passSlowly(14_000);
  assert.equal(stalls, 1);
  await end.passSlowly(60_000);
  assert.ok(stalls >= 2 && stalls <= 4, `${stalls} replacements in a minute`);
});

test("a silent peer is not heard, whatever the browser says", () => {
  const connected = { connectionState: "connected" };
  assert.ok(isHeard(connected, 500, true));
  assert.ok(isHeard(connected, null, true));
  assert.ok(!isHeard(connected, 3_500, true));
  assert.ok(isHeard(connected, 3_500, false));
  assert.ok(!isHeard(connected, 8_000, false));
  assert.ok(!isHeard({ connectionState: "disconnected" }, 0, true));
});

/** One end of a connection: its states are set by the scenario, and its time passes when told. */
function endOf(scenario, { polite = false, gathered = true } = {}) {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  const clock = mock.method(performance, "now", () => Date.now());
  const closed = new AbortController();
  scenario.after(() => {
    closed.abort();
    clock.mock.restore();
    mock.timers.reset();
  });
  const end = { restarts: 0, replacements: 0, failures: [], canSignal: true, outage: { attempts: 0, reported: false }, signal: closed.signal };
  const connection = Object.assign(new EventTarget(), {
    connectionState: "new",
    iceConnectionState: "new",
    iceGatheringState: gathered ? "complete" : "gathering",
    signalingState: "stable",
    restartIce: () => (end.restarts += 1),
    getStats: async () => new Map(),
  });
  const channel = Object.assign(new EventTarget(), { readyState: "connecting" });
  const restarting = restartWhenBroken(connection, {
    polite,
    outage: end.outage,
    channel,
    canSignal: () => end.canSignal,
    pathLost: () => {},
    replace: () => (end.replacements += 1),
    fail: (code) => end.failures.push(code),
    signal: closed.signal,
  });
  connection.dispatchEvent(new Event("icegatheringstatechange"));
  const set = (field, type) => (state) => {
    connection[field] = state;
    connection.dispatchEvent(new Event(type));
  };
  return Object.assign(end, {
    connection,
    restarting,
    state: set("connectionState", "connectionstatechange"),
    signaling: set("signalingState", "signalingstatechange"),
    /** In steps, because a timer set by another one counts from the end of the step. */
    pass(ms) {
      for (let passed = 0; passed < ms; passed += 100) mock.timers.tick(100);
    },
    /** The same for steps that wait for promises between their timers. */
    async passSlowly(ms) {
      for (let passed = 0; passed < ms; passed += 100) {
        mock.timers.tick(100);
        for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
      }
    },
  });
}
