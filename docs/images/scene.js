/**
 * Drawn people before the cameras, and a drawn screen to share. `make.mjs` runs this in each page
 * before the page's own script, in place of Chromium's fake camera.
 */

/**
 * Replaces the devices of this page.
 * @param {string} name Key of {@link LOOKS}.
 * @param {number} scale Pixels of the camera per unit of the drawing, which is 640 by 360.
 * @param {number} pace Speed of the person: 1 is that of the clock.
 */
function act(name, scale, pace) {
  const now = () => (Date.now() / 1000) * pace;
  const look = LOOKS[name];
  const devices = navigator.mediaDevices;
  devices.getUserMedia = async ({ video, audio }) =>
    new MediaStream([
      ...(video ? film(640 * scale, 360 * scale, 20, now, portrait(look, scale)) : []),
      ...(audio ? voice(look, now) : []),
    ]);
  devices.getDisplayMedia = async () => new MediaStream(film(1280, 720, 8, now, slide));
}

/** Appearance, room and turn to speak of each person. */
const LOOKS = {
  Ada: {
    turn: 0, pitch: 210, room: windowRoom, wall: ["#8fa9a6", "#6f8d8b"],
    skin: "#f0c9ab", hair: "#4a3127", style: bunHair, clothes: "#b5533f", collar: "#f3e6d5",
  },
  Grace: {
    turn: 1, pitch: 190, room: shelfRoom, wall: ["#c9b79c", "#ab977b"],
    skin: "#efc7a9", hair: "#c9cccb", style: curlyHair, clothes: "#2f4663", collar: "#e9edf0", glasses: "#38424a",
  },
  Alan: {
    turn: 2, pitch: 120, room: hillsRoom, wall: ["#b9d3de", "#e6e3cf"],
    skin: "#e8bd9c", hair: "#5b4130", style: sideHair, clothes: "#5c6f57", collar: "#efe9dc",
  },
  Katherine: {
    turn: 3, pitch: 200, room: lampRoom, wall: ["#54657a", "#3e4c5f"],
    skin: "#9a6a4b", hair: "#231b19", style: bobHair, clothes: "#d39a3f", collar: "#d39a3f", earrings: "#f3dfae",
  },
};

const TURN_S = 3.2;

/** Returns how far the mouth is open, 0 to 1. Ada and Grace speak in turns, the others listen. */
function openness({ turn }, time) {
  if (turn > 1 || Math.floor(time / TURN_S) % 2 !== turn) return 0;
  const [within, fade] = [time % TURN_S, 0.35];
  const envelope = Math.min(1, within / fade, (TURN_S - within) / fade);
  return envelope * (0.55 + 0.45 * Math.sin(time * 17)) * (0.7 + 0.3 * Math.sin(time * 5.3));
}

/** Returns the video track of a drawing that repeats at this rate. */
function film(width, height, rate, now, draw) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const brush = canvas.getContext("2d");
  const paint = () => draw(brush, now());
  paint();
  setInterval(paint, 1000 / rate);
  return canvas.captureStream(rate).getVideoTracks();
}

/** Returns a sound track as loud as the mouth is open. */
function voice(look, now) {
  const context = new AudioContext();
  const out = context.createMediaStreamDestination();
  const loudness = new GainNode(context, { gain: 0 });
  loudness.connect(out);
  for (const part of [1, 2.02, 3.1]) {
    const tone = new OscillatorNode(context, { frequency: look.pitch * part });
    tone.connect(loudness);
    tone.start();
  }
  setInterval(() => loudness.gain.setTargetAtTime(openness(look, now()) * 0.15, context.currentTime, 0.02), 50);
  return out.stream.getAudioTracks();
}

// --- People ---

/** Returns the drawing of one person in a room. */
function portrait(look, scale) {
  const room = document.createElement("canvas");
  Object.assign(room, { width: 640 * scale, height: 360 * scale });
  const brush = room.getContext("2d");
  brush.scale(scale, scale);
  fill(brush, gradient(brush, ...look.wall), () => brush.rect(0, 0, 640, 360));
  look.room(brush);
  return (brush, time) => {
    brush.setTransform(1, 0, 0, 1, 0, 0);
    brush.drawImage(room, 0, 0);
    brush.setTransform(scale, 0, 0, scale, 0, 0);
    person(brush, look, time + look.turn * 7);
  };
}

function person(brush, look, time) {
  const speaks = openness(look, time - look.turn * 7);
  brush.translate(320 + 4 * Math.sin(time * 0.6), 6 + 2 * Math.sin(time * 1.4));
  shoulders(brush, look);
  brush.translate(3 * Math.sin(time * 0.9), 166 + 2 * Math.sin(time * 1.1) - speaks * 2);
  brush.rotate(0.045 * Math.sin(time * 0.7));
  look.style(brush, look.hair, "behind");
  fill(brush, shade(look.skin, -14), () => ellipse(brush, -60, 6, 10, 15), () => ellipse(brush, 60, 6, 10, 15));
  fill(brush, look.skin, () => {
    brush.moveTo(-60, -20);
    brush.bezierCurveTo(-62, -104, 62, -104, 60, -20);
    brush.bezierCurveTo(60, 40, 34, 82, 0, 82);
    brush.bezierCurveTo(-34, 82, -60, 40, -60, -20);
  });
  face(brush, look, time, speaks);
  look.style(brush, look.hair, "before");
  const { earrings } = look;
  if (earrings) fill(brush, earrings, () => ellipse(brush, -62, 27, 5, 7), () => ellipse(brush, 62, 27, 5, 7));
}

function shoulders(brush, { clothes, collar, skin }) {
  fill(brush, clothes, () => {
    brush.moveTo(-190, 390);
    brush.bezierCurveTo(-185, 290, -140, 268, -62, 252);
    brush.lineTo(62, 252);
    brush.bezierCurveTo(140, 268, 185, 290, 190, 390);
  });
  fill(brush, collar, () => {
    brush.moveTo(-52, 250);
    brush.lineTo(0, 318);
    brush.lineTo(52, 250);
  });
  fill(brush, shade(skin, -18), () => {
    brush.moveTo(-31, 215);
    brush.lineTo(-35, 256);
    brush.quadraticCurveTo(0, 300, 35, 256);
    brush.lineTo(31, 215);
  });
}

function face(brush, { skin, hair, glasses }, time, speaks) {
  const blinks = time % 3.7 < 0.14;
  const glance = 2.5 * Math.sin(time * 0.5);
  fill(brush, shade(skin, -10, "#d9604f"), () => ellipse(brush, -36, 32, 13, 8), () => ellipse(brush, 36, 32, 13, 8));
  for (const side of [-25, 25]) {
    if (blinks) stroke(brush, "#2a2220", 3, () => line(brush, side - 9, 4, side + 9, 4));
    else {
      fill(brush, "#fdfaf5", () => ellipse(brush, side, 3, 10.5, 7.5));
      fill(brush, "#2a2220", () => ellipse(brush, side + glance, 3, 5.4, 6));
      fill(brush, "#ffffff", () => ellipse(brush, side + glance + 1.8, 1, 1.6, 1.6));
    }
    const brow = -16 - speaks * 3;
    stroke(brush, shade(hair, -30), 4.5, () => curve(brush, side - 12, brow + 2, side, brow - 5, side + 12, brow + 2));
    if (glasses) stroke(brush, glasses, 3, () => brush.roundRect(side - 19, -12, 38, 30, 12));
  }
  if (glasses) stroke(brush, glasses, 3, () => curve(brush, -6, 0, 0, -4, 6, 0));
  stroke(brush, shade(skin, -40), 3.2, () => curve(brush, 1, 8, 9, 27, -3, 28));
  if (speaks > 0.12) {
    fill(brush, "#7c2f2c", () => ellipse(brush, 0, 51, 15, 3 + speaks * 10));
    fill(brush, "#fbf3ea", () => ellipse(brush, 0, 49 - speaks * 5, 10, 2.2));
  } else stroke(brush, "#a2483f", 4, () => curve(brush, -17, 47, 0, 61, 17, 47));
}

// --- Hair, around a head whose middle is the origin ---

function bunHair(brush, color, layer) {
  if (layer === "behind") {
    fill(brush, shade(color, -12), () => ellipse(brush, 0, -104, 31, 27));
    fill(brush, color, () => ellipse(brush, 0, -22, 71, 72));
    return;
  }
  for (const side of [-1, 1]) {
    fill(brush, color, () => {
      brush.moveTo(0, -84);
      brush.bezierCurveTo(side * 78, -96, side * 78, -10, side * 61, 22);
      brush.bezierCurveTo(side * 62, -26, side * 30, -42, 0, -72);
    });
  }
}

function curlyHair(brush, color, layer) {
  const curls = layer === "behind" ? 15 : 8;
  const [from, to] = layer === "behind" ? [Math.PI * 0.9, Math.PI * 2.1] : [Math.PI * 1.1, Math.PI * 1.9];
  for (let curl = 0; curl < curls; curl += 1) {
    const angle = from + ((to - from) * curl) / (curls - 1);
    const size = layer === "behind" ? 25 : 19;
    fill(brush, curl % 2 ? color : shade(color, -9), () =>
      ellipse(brush, Math.cos(angle) * 57, Math.sin(angle) * 64 - 18, size, size));
  }
}

function sideHair(brush, color, layer) {
  if (layer === "behind") return fill(brush, color, () => ellipse(brush, 0, -34, 65, 58));
  fill(brush, color, () => {
    brush.moveTo(-62, -2);
    brush.bezierCurveTo(-76, -112, 76, -122, 62, -2);
    brush.bezierCurveTo(58, -30, 52, -44, 40, -50);
    brush.bezierCurveTo(8, -34, -22, -40, -36, -58);
    brush.bezierCurveTo(-48, -44, -58, -30, -62, -2);
  });
}

function bobHair(brush, color, layer) {
  if (layer === "behind") {
    return fill(brush, color, () => {
      brush.moveTo(-78, 58);
      brush.bezierCurveTo(-104, -128, 104, -128, 78, 58);
      brush.bezierCurveTo(60, 74, -60, 74, -78, 58);
    });
  }
  fill(brush, shade(color, 14), () => {
    brush.moveTo(-64, 0);
    brush.bezierCurveTo(-76, -120, 76, -120, 64, 0);
    brush.bezierCurveTo(58, -30, 34, -54, 18, -58);
    brush.bezierCurveTo(-10, -44, -50, -42, -64, 0);
  });
}

// --- Rooms ---

function windowRoom(brush) {
  fill(brush, "#e9efe9", () => brush.roundRect(34, 26, 178, 206, 6));
  fill(brush, gradient(brush, "#bfe0ea", "#f3e9cf", 220), () => brush.rect(44, 36, 158, 186));
  brush.save();
  brush.beginPath();
  brush.rect(44, 36, 158, 186);
  brush.clip();
  fill(brush, "#f6d58a", () => ellipse(brush, 150, 92, 19, 19));
  fill(brush, "#8fb7a4", () => ellipse(brush, 80, 236, 110, 74));
  fill(brush, "#6f9c86", () => ellipse(brush, 196, 246, 112, 66));
  brush.restore();
  fill(brush, "#e9efe9", () => brush.rect(119, 30, 8, 198), () => brush.rect(38, 124, 170, 8));
  plant(brush, 548, 330, 1.25);
  fill(brush, "#e7dcc6", () => brush.roundRect(462, 48, 120, 92, 4));
  fill(brush, "#3d6d74", () => brush.rect(471, 57, 102, 74));
  fill(brush, "#e0b56a", () => ellipse(brush, 522, 96, 24, 24));
}

function shelfRoom(brush) {
  const colors = ["#7a4b3a", "#3f6169", "#b98445", "#8a8f6a", "#5b4a63", "#c4694e", "#40566f"];
  for (const [row, top] of [20, 128, 236].entries()) {
    for (const [left, right] of [[18, 214], [428, 622]]) {
      fill(brush, "#8d7454", () => brush.rect(left, top, right - left, 100));
      fill(brush, "#6f593f", () => brush.rect(left, top + 94, right - left, 10));
      let at = left + 10;
      for (let book = row * 3 + left; at < right - 34; book += 1) {
        const [wide, high] = [12 + ((book * 7) % 11), 58 + ((book * 13) % 26)];
        fill(brush, colors[book % colors.length], () => brush.rect(at, top + 94 - high, wide, high));
        at += wide + 3;
      }
    }
  }
}

function hillsRoom(brush) {
  fill(brush, "#fbeec4", () => ellipse(brush, 520, 78, 34, 34));
  for (const [x, y, wide, high, color] of [
    [90, 330, 260, 150, "#a9c3b6"],
    [560, 340, 280, 140, "#97b6a6"],
    [300, 400, 420, 130, "#7fa08a"],
    [60, 420, 260, 130, "#6b8f78"],
  ]) fill(brush, color, () => ellipse(brush, x, y, wide, high));
  for (const [x, y] of [[108, 70], [196, 112]]) {
    fill(brush, "#f7faf7", () => ellipse(brush, x, y, 44, 13), () => ellipse(brush, x + 12, y - 10, 22, 15));
  }
  for (const [x, y, size] of [[70, 276, 1], [128, 292, 0.8], [566, 286, 1.1], [508, 300, 0.75]]) {
    fill(brush, "#5e5140", () => brush.rect(x - 4 * size, y, 8 * size, 40 * size));
    fill(brush, "#4f7560", () => ellipse(brush, x, y - 18 * size, 27 * size, 36 * size));
  }
}

function lampRoom(brush) {
  const glow = brush.createRadialGradient(120, 110, 20, 120, 110, 210);
  glow.addColorStop(0, "#ffdf9a70");
  glow.addColorStop(1, "#ffdf9a00");
  fill(brush, glow, () => brush.rect(0, 0, 640, 360));
  fill(brush, "#2c3643", () => brush.rect(117, 130, 6, 230));
  fill(brush, "#f4d38b", () => {
    brush.moveTo(84, 132);
    brush.lineTo(100, 70);
    brush.lineTo(140, 70);
    brush.lineTo(156, 132);
  });
  fill(brush, "#d8cdb8", () => brush.roundRect(450, 40, 146, 108, 4));
  fill(brush, "#20303f", () => brush.rect(460, 50, 126, 88));
  for (const [wide, high] of [[34, 20], [18, 34]]) {
    stroke(brush, "#e7c978", 2, () => ellipse(brush, 523, 94, wide, high));
  }
  fill(brush, "#f2e3b6", () => ellipse(brush, 523, 94, 8, 8));
  plant(brush, 570, 350, 1);
}

function plant(brush, x, y, size) {
  for (const lean of [-1.15, -0.75, -0.4, -0.1, 0.25, 0.6, 1]) {
    brush.save();
    brush.translate(x, y - 44 * size);
    brush.rotate(lean);
    fill(brush, lean > 0 ? "#4d7a5e" : "#5d8c6c", () => ellipse(brush, 0, -44 * size, 11 * size, 46 * size));
    brush.restore();
  }
  fill(brush, "#b8765a", () => brush.roundRect(x - 30 * size, y - 52 * size, 60 * size, 62 * size, 8 * size));
}

// --- Shared screen ---

/** Draws a slide with a packet on its way around a wall. */
function slide(brush, time) {
  fill(brush, "#f6f3ea", () => brush.rect(0, 0, 1280, 720));
  write(brush, "#14363c", "700 60px", "How a call gets through", 90, 130);
  write(brush, "#5a6c6e", "32px", "A NAT blocks the direct path. The relay has a public address.", 90, 192);
  brush.save();
  brush.translate(0, -55);
  stroke(brush, "#a8b1ae", 8, () => line(brush, 220, 560, 1060, 560), [2, 24]);
  const road = new Path2D("M220 560C420 560 420 330 640 330S860 560 1060 560");
  brush.save();
  Object.assign(brush, { strokeStyle: "#1f7a80", lineWidth: 10, lineCap: "round" });
  brush.stroke(road);
  Object.assign(brush, { strokeStyle: "#f0b25c", lineWidth: 16, lineDashOffset: -time * 260 });
  brush.setLineDash([1, 210]);
  brush.stroke(road);
  brush.restore();
  fill(brush, "#8c9794", () => brush.roundRect(620, 480, 40, 160, 8));
  fill(brush, "#f0b25c", () => ellipse(brush, 640, 330, 30, 30));
  fill(brush, "#1f7a80", () => ellipse(brush, 220, 560, 42, 42), () => ellipse(brush, 1060, 560, 42, 42));
  write(brush, "#14363c", "600 34px", "Ada", 188, 656);
  write(brush, "#14363c", "600 34px", "Grace", 1012, 656);
  write(brush, "#14363c", "600 34px", "Relay", 690, 316);
  write(brush, "#5a6c6e", "34px", "NAT", 606, 690);
  brush.restore();
}

// --- Brush ---

function fill(brush, color, ...outlines) {
  brush.fillStyle = color;
  for (const outline of outlines) {
    brush.beginPath();
    outline();
    brush.fill();
  }
}

function stroke(brush, color, width, outline, dash = []) {
  brush.save();
  Object.assign(brush, { strokeStyle: color, lineWidth: width, lineCap: "round" });
  brush.setLineDash(dash);
  brush.beginPath();
  outline();
  brush.stroke();
  brush.restore();
}

function line(brush, fromX, fromY, toX, toY) {
  brush.moveTo(fromX, fromY);
  brush.lineTo(toX, toY);
}

function curve(brush, fromX, fromY, ...rest) {
  brush.moveTo(fromX, fromY);
  brush.quadraticCurveTo(...rest);
}

function ellipse(brush, x, y, wide, high) {
  brush.moveTo(x + wide, y);
  brush.ellipse(x, y, wide, high, 0, 0, Math.PI * 2);
}

function write(brush, color, font, text, x, y) {
  Object.assign(brush, { fillStyle: color, font: `${font} system-ui, sans-serif` });
  brush.fillText(text, x, y);
}

function gradient(brush, top, bottom, height = 360) {
  const colors = brush.createLinearGradient(0, 0, 0, height);
  colors.addColorStop(0, top);
  colors.addColorStop(1, bottom);
  return colors;
}

/** Returns a color that is lighter by `amount` of 255, and a quarter `tint` if there is one. */
function shade(color, amount, tint = null) {
  const parts = (text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
  const mixed = parts(color).map((part, at) => (tint ? part * 0.75 + parts(tint)[at] * 0.25 : part) + amount);
  return `rgb(${mixed.map((part) => Math.max(0, Math.min(255, Math.round(part)))).join(" ")})`;
}
