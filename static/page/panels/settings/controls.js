/** Controls of the settings panel: lists of devices, switches and lines. */

import { showOptions } from "../../fields.js";

/** @typedef {import("../../page.js").Page} Page */
/** @typedef {import("../../media/device.js").Choice} Choice */
/** @typedef {import("../../media/device.js").Kind} Kind */

/**
 * Part of the panel. `draw` runs at every change and once a second.
 * @typedef {{ root: HTMLElement, draw: () => void, close?: () => void }} Part
 */

/**
 * Builds a group with a heading.
 * @param {Page} page @param {string} title @param {...(Node | string)} children
 * @returns {HTMLElement}
 */
export const group = ({ element }, title, ...children) =>
  element("div", { class: "settings-group" }, element("h3", { text: title }), ...children);

/**
 * @typedef {object} ListOptions
 * @property {string} id
 * @property {string} label
 * @property {string} [describedBy] Id of the line that explains it.
 * @property {boolean} [titled] Whether a heading says the same as the label, so that only screen
 *   readers need the label.
 * @property {(value: string) => void} onChoose
 */

/**
 * Builds a list to choose from.
 * @param {Page} page
 * @param {ListOptions} options
 */
export function list({ element }, { id, label, describedBy, titled = false, onChoose }) {
  /** @type {HTMLSelectElement} */
  const select = element("select", { id, "aria-describedby": describedBy, onchange: () => onChoose(select.value) });
  const title = element("label", { for: id, class: titled && "hidden", text: label });
  const root = element("div", { class: "settings-field" }, title, select);
  return { root, select };
}

/**
 * Options of a list of devices, with names for those that have none.
 * @param {Page} page @param {Choice[]} devices @param {string} kind Word for such a device.
 */
export const deviceOptions = ({ say }, devices, kind) =>
  devices.map(({ deviceId, label }, index) => ({
    value: deviceId,
    text: label || say("devices.number", { kind, number: String(index + 1) }),
  }));

/** @typedef {{ id: string, label: string, describedBy?: string }} Described */

/**
 * Builds a switch.
 * @param {Page} page @param {Described & { onSwitch: (on: boolean) => void }} options
 */
export function toggle({ element }, { id, label, describedBy, onSwitch }) {
  /** @type {HTMLInputElement} */
  const input = element("input", {
    id,
    type: "checkbox",
    role: "switch",
    "aria-describedby": describedBy,
    onchange: () => onSwitch(input.checked),
  });
  const track = element("span", { class: "track" });
  const root = element("label", { class: "switch" }, input, track, element("span", { text: label }));
  return { root, input };
}

/** Builds a line of explanation. @param {Page} page @param {string} [id] @param {string} [text] */
export const line = ({ element }, id, text) => element("p", { class: "quiet", id, text });

/**
 * Shows a sentence, or nothing.
 * @param {HTMLElement} target @param {string} text @param {boolean} [isTrouble]
 */
export function showLine(target, text, isTrouble = false) {
  if (target.textContent !== text) target.textContent = text;
  target.hidden = !text;
  target.classList.toggle("trouble", isTrouble);
}

/**
 * Builds the list of one kind of device, with the reason of a failure, and a button to ask for it.
 * @param {Page} page @param {Kind} kind
 */
export function deviceList(page, kind) {
  const { media, say, sayError, element } = page;
  const { root, select } = list(page, {
    id: `${kind}-device`,
    label: say(`devices.${kind}`),
    describedBy: `${kind}-trouble`,
    titled: true,
    onChoose: (deviceId) => media.choose(kind, deviceId),
  });
  const trouble = line(page, `${kind}-trouble`);
  const allow = element("button", {
    id: `${kind}-allow`,
    type: "button",
    text: say(`devices.allow-${kind}`),
    onclick: () => media.setEnabled(kind, true),
  });
  const draw = () => {
    const device = media[kind];
    const devices = media.lists[kind];
    const options = deviceOptions(page, devices, say(`devices.${kind}`));
    // Before permission, or where the chosen device is not there, the browser decides.
    const isListed = devices.some(({ deviceId }) => deviceId === device.deviceId);
    if (!isListed) options.unshift({ value: "", text: say("devices.default") });
    showOptions(page, select, options, isListed ? device.deviceId : "");
    const isUnnamed = !devices.some(({ label }) => label);
    allow.hidden = device.live || !isUnnamed;
    const hint = isUnnamed ? say("devices.unnamed") : "";
    showLine(trouble, device.error ? sayError(device.error) : hint, Boolean(device.error));
  };
  return { nodes: [root, trouble, allow], draw };
}
