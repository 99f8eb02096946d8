/** Camera part of the settings: device, picture size, frame rate and mirror. */

import { showOptions } from "../../fields.js";
import { deviceList, group, line, list, showLine, toggle } from "./controls.js";

/** @typedef {import("./controls.js").Page} Page */
/** @typedef {import("./controls.js").Part} Part */

const SIZES = [[640, 360], [960, 540], [1280, 720], [1920, 1080], [3840, 2160]];
const FRAME_RATES = [15, 24, 30, 60];

/** @param {Page} page @returns {Part} */
export function cameraPart(page) {
  const { media, say } = page;
  const device = deviceList(page, "camera");
  const came = line(page, "camera-came");
  const size = list(page, {
    id: "camera-resolution",
    label: say("devices.resolution"),
    describedBy: "camera-came",
    onChoose: (value) => {
      const [width, height] = value.split("x").map(Number);
      media.setResolution({ ...media.resolution, width, height });
    },
  });
  const rate = list(page, {
    id: "camera-frame-rate",
    label: say("devices.frame-rate"),
    describedBy: "camera-came",
    onChoose: (value) => media.setResolution({ ...media.resolution, frameRate: Number(value) }),
  });
  const mirror = toggle(page, {
    id: "mirror",
    label: say("devices.mirror"),
    describedBy: "mirror-explained",
    onSwitch: (on) => media.setMirror(on),
  });
  const { width, height, frameRate } = media.supported;
  const picture = page.element("div", { class: "settings-pair", hidden: !width || !height }, size.root);
  if (frameRate) picture.append(rate.root);

  const draw = () => {
    device.draw();
    const { resolution } = media;
    const limits = media.camera.source?.getCapabilities?.() ?? {};
    const chosen = `${resolution.width}x${resolution.height}`;
    const sizes = SIZES.filter(([width]) => width <= (limits.width?.max ?? Infinity));
    const sizeValues = withChosen(sizes.map((pair) => pair.join("x")), chosen);
    showOptions(page, size.select, sizeValues.map((value) => ({ value, text: value.replace("x", " × ") })), chosen);
    const rates = FRAME_RATES.filter((candidate) => candidate <= Math.ceil(limits.frameRate?.max ?? Infinity));
    const rateValues = withChosen(rates.map(String), String(resolution.frameRate));
    showOptions(page, rate.select, rateValues.map((value) => ({ value, text: value })), String(resolution.frameRate));
    showLine(came, cameSentence(page));
    mirror.input.checked = media.mirrorWanted;
  };
  const explained = line(page, "mirror-explained", say("devices.mirror-explained"));
  return { root: group(page, say("devices.camera"), ...device.nodes, picture, came, mirror.root, explained), draw };
}

/** @param {string[]} values @param {string} chosen */
const withChosen = (values, chosen) => (values.includes(chosen) ? values : [...values, chosen]);

/** Sentence on the picture that came; it may differ from the chosen one. @param {Page} page */
function cameSentence({ media, say }) {
  const { width, height, frameRate } = (media.camera.live && media.camera.source?.getSettings()) || {};
  if (!width || !height) return say("devices.no-picture");
  const rate = frameRate ? String(Math.round(frameRate)) : "?";
  return say("devices.came-picture", { width: String(width), height: String(height), rate });
}
