/** Invitation to the call: link, share sheet and QR code. */

import { qrcode } from "../../vendor/qrcode-generator/qrcode.js";

/** @typedef {import("../page.js").Page} Page */

/** Lifetimes that a host can choose, in seconds. */
const LIFETIMES = { hour: 3600, day: 86400, week: 604800 };

/** @param {HTMLElement} section @param {Page} page */
export function openInvite(section, page) {
  const { element, say, address } = page;
  const room = /** @type {string} */ (address.room());
  // A host's link has another token than the own one.
  const isInviting = Boolean(page.call?.host && address.token());
  let link = "";
  const field = element("input", { readonly: true, "aria-label": say("invite.link"), spellcheck: false });
  const canvas = element("canvas", { class: "qr", role: "img", "aria-label": say("invite.qr") });
  const noCode = element("p", { class: "quiet", text: say("invite.no-qr") });
  const note = element("p", { class: "quiet" });

  const copy = async () => {
    page.announce(say((await page.copy(link, field)) ? "invite.copied" : "invite.copy-selected"));
  };
  // A person who closes the share sheet has not failed.
  const share = () => navigator.share({ title: say("invite.title"), url: link }).catch(() => {});

  const buttons = element("div", { class: "row" },
    element("button", { type: "button", text: say("invite.copy"), onclick: copy }),
    ...("share" in navigator ? [element("button", { type: "button", text: say("invite.share"), onclick: share })] : []),
  );
  /** @param {string} text A link, or nothing. */
  const show = (text) => {
    link = field.value = text;
    field.hidden = buttons.hidden = !link;
    canvas.hidden = !link || !drawQr(canvas, link);
    noCode.hidden = !link || !canvas.hidden;
  };
  /** @param {number} ttl */
  const renew = async (ttl) => {
    try {
      const invitation = await /** @type {import("../../byway.js").Call} */ (page.call).invite({ ttl, viewer: address.isLive() });
      note.textContent = say("invite.expires", { time: new Date(invitation.expiresAt).toLocaleString(document.documentElement.lang) });
      show(address.linkTo(room, { token: invitation.token }));
    } catch (error) {
      const refusal = /** @type {import("../../byway.js").BywayError} */ (error);
      note.textContent = page.sayError(refusal);
      // Its token is not for this server.
      if (refusal.code === "no-tokens") show(address.linkTo(room, { token: null }));
    }
  };

  section.append(element("h3", { text: say("invite.title") }), field, buttons);
  show(isInviting ? "" : address.linkTo(room));
  // A room without tokens has one link for all, which does not expire.
  if (isInviting) {
    const lifetime = element("select", { onchange: () => renew(Number(lifetime.value)) },
      ...Object.entries(LIFETIMES).map(([name, seconds]) => element("option", { value: seconds, text: say(`invite.${name}`) })));
    section.append(element("label", { class: "field-label" }, element("span", { text: say("invite.lifetime") }), lifetime));
    renew(LIFETIMES.hour);
  } else if (address.token()) {
    note.textContent = say("invite.same-token");
  }
  section.append(note, canvas, noCode);
  return () => {};
}

/**
 * Draws a QR code with its quiet zone, black on white also in dark mode: cameras expect that.
 * @param {HTMLCanvasElement} canvas
 * @param {string} text
 * @returns {boolean} Whether it fits into a code.
 */
function drawQr(canvas, text) {
  const code = qrcode(0, "L");
  try {
    code.addData(text);
    code.make();
  } catch {
    return false; // longer than the largest code: 2953 bytes
  }
  const margin = 4;
  const scale = 4;
  const size = code.getModuleCount();
  canvas.width = canvas.height = (size + 2 * margin) * scale;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = "#000";
  for (let row = 0; row < size; row += 1) {
    for (let column = 0; column < size; column += 1) {
      if (code.isDark(row, column)) context.fillRect((column + margin) * scale, (row + margin) * scale, scale, scale);
    }
  }
  return true;
}
