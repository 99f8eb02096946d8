/** Shaders of the virtual background, in GLSL ES 3.00. */

/** Triangle that covers the target. `flip` turns the first row to the top of a canvas. */
export const VERTEX = `#version 300 es
uniform float flip;
out vec2 at;
void main() {
  vec2 corner = vec2(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0);
  at = (vec2(corner.x, corner.y * flip) + 1.0) / 2.0;
  gl_Position = vec4(corner, 0.0, 1.0);
}`;

const HEAD = `#version 300 es
precision mediump float;
in vec2 at;
out vec4 color;
`;

/**
 * Room in a small size, without the person: colours are weighed by the share of the room, which is
 * the alpha channel.
 */
export const SHRINK = `${HEAD}
uniform sampler2D picture, mask;
uniform vec2 step_;
uniform float masked;
void main() {
  vec3 sum = vec3(0.0);
  for (int y = -1; y <= 1; y += 2)
    for (int x = -1; x <= 1; x += 2) sum += texture(picture, at + vec2(x, y) * step_).rgb;
  float room = 1.0 - masked * smoothstep(0.05, 0.6, texture(mask, at).r);
  color = vec4(sum / 4.0 * room, room);
}`;

/** Gaussian blur along one axis: nine points, in five reads. */
export const BLUR = `${HEAD}
uniform sampler2D picture;
uniform vec2 step_;
void main() {
  vec4 sum = texture(picture, at) * 0.227;
  sum += (texture(picture, at + step_ * 1.385) + texture(picture, at - step_ * 1.385)) * 0.316;
  sum += (texture(picture, at + step_ * 3.231) + texture(picture, at - step_ * 3.231)) * 0.0703;
  color = sum;
}`;

/** Distance from the key in chroma, and a little in brightness. */
const KEY = `
uniform vec3 key;
uniform float tolerance, softness, spill;
vec3 chroma(vec3 c) {
  float light = dot(c, vec3(0.299, 0.587, 0.114));
  return vec3(dot(c, vec3(-0.169, -0.331, 0.5)), dot(c, vec3(0.5, -0.419, -0.081)), 0.25 * light);
}
float person(inout vec3 c) {
  vec3 own = chroma(c), screen = chroma(key);
  float share = smoothstep(tolerance, tolerance + softness, distance(own, screen));
  vec2 hue = normalize(screen.xy + 1e-4);
  vec2 tint = hue * max(0.0, dot(own.xy, hue)) * spill;
  c -= vec3(1.402 * tint.y, -0.344 * tint.x - 0.714 * tint.y, 1.772 * tint.x);
  return share;
}`;

/** Share of the person by the mask of the segmentation. */
const SEGMENT = `
uniform sampler2D mask;
float person(inout vec3 c) { return smoothstep(0.3, 0.75, texture(mask, at).r); }`;

/** The person in front of a colour, a picture, or the blurred room. */
const BEHIND = {
  color: `
uniform vec3 plain;
vec3 behind() { return plain; }`,
  picture: `
uniform sampler2D back;
uniform vec2 fit;
vec3 behind() { return texture(back, (at - 0.5) * fit + 0.5).rgb; }`,
  blur: `
uniform sampler2D back;
vec3 behind() { vec4 room = texture(back, at); return room.rgb / max(room.a, 0.004); }`,
};

/**
 * Program that puts the person in front of something.
 * @param {"key" | "mask"} by @param {keyof typeof BEHIND} behind
 */
export const compose = (by, behind) => `${HEAD}
uniform sampler2D picture;
${by === "key" ? KEY : SEGMENT}
${BEHIND[behind]}
void main() {
  vec3 front = texture(picture, at).rgb;
  float share = person(front);
  color = vec4(mix(behind(), front, share), 1.0);
}`;
