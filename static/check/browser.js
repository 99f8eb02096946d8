/** Checks of the browser, of its policies, and of camera and microphone. */

import { openDevices } from "../byway/camera.js";
import { finding } from "./finding.js";

/** @typedef {import("./finding.js").Finding} Finding */

/** Whether this browser is Firefox, whose rules for TURN over TLS differ. */
export const isFirefox = /\bFirefox\//.test(navigator.userAgent);

/** @returns {Finding[]} */
export function checkBrowser() {
  if (typeof RTCPeerConnection !== "function") return [finding("no-webrtc", navigator.userAgent)];
  if (!isSecureContext) return [finding("insecure-origin", location.origin, { origin: location.origin })];
  return [finding("browser-ok", navigator.userAgent)];
}

/** State of a permission; null where the browser does not know it. @param {string[]} names */
export async function permissionOf(...names) {
  for (const name of names) {
    try {
      const known = /** @type {PermissionName} */ (name);
      return (await navigator.permissions.query({ name: known })).state;
    } catch {
      // Another browser's name.
    }
  }
  return null;
}

/** Permission for addresses of the local network, where the browser asks for one. */
export const localNetworkPermission = () => permissionOf("local-network-access", "local-network", "loopback-network");

/**
 * Looks at the devices without opening them, which would ask the person.
 * @returns {Promise<Finding | null>}
 */
export async function checkDevices() {
  if (!isSecureContext) return null; // that is said already
  const { permissionsPolicy, featurePolicy } = /** @type {any} */ (document);
  /** @type {{ allowsFeature: (name: string) => boolean } | undefined} */
  const policy = permissionsPolicy ?? featurePolicy;
  const forbidden = ["camera", "microphone"].filter((name) => policy && !policy.allowsFeature(name));
  if (forbidden.length) return finding("devices-policy", forbidden.join(", "));
  if (!navigator.mediaDevices) return finding("no-webrtc", "navigator.mediaDevices");
  const denied = [];
  for (const name of ["camera", "microphone"]) if ((await permissionOf(name)) === "denied") denied.push(name);
  if (denied.length) return finding("devices-denied", denied.join(", "));
  const devices = await navigator.mediaDevices.enumerateDevices().catch(() => []);
  const missing = [["videoinput", "camera"], ["audioinput", "microphone"]]
    .filter(([kind]) => !devices.some((device) => device.kind === kind))
    .map(([, name]) => name);
  return missing.length ? finding("devices-missing", missing.join(", ")) : finding("devices-untested");
}

/** Opens camera and microphone for a moment. @returns {Promise<Finding>} */
export async function testDevices() {
  const { stream, errors } = await openDevices();
  const labels = stream?.getTracks().map(({ label }) => label) ?? [];
  for (const track of stream?.getTracks() ?? []) track.stop();
  const codes = errors.map(({ code }) => code).join(", ");
  if (!errors.length) return finding("devices-ok", labels.join(", "));
  const is = (/** @type {RegExp} */ pattern) => errors.some(({ code }) => pattern.test(code));
  if (is(/insecure/)) return finding("insecure-origin", codes, { origin: location.origin });
  return finding(is(/denied/) ? "devices-denied" : is(/^no-/) ? "devices-missing" : "devices-busy", codes);
}
