// The panorama: picture and heat as two textures, looked at from the middle of the sphere or spread out flat.
import { angles, cross, dot, vector, wrap } from './sphere.js';

const MOST_MARKS = 32, WIDEST = 100, NEAREST = 8, FARTHEST = 0.6;
// Where drawing again and again takes longer than the first, pixels get larger; shorter than the second, finer again.
const SLOW_MS = 40, FAST_MS = 20, COARSEST = 0.4, PATIENCE = 8;

const VERTEX = `#version 300 es
void main() {  // one triangle over everything
  gl_Position = vec4(gl_VertexID == 1 ? 3. : -1., gl_VertexID == 2 ? 3. : -1., 0, 1);
}`;

const FRAGMENT = `#version 300 es
precision highp float;
uniform sampler2D picture, heat;
uniform bool spread, pictured;
uniform vec2 size, centre;      // pixels; azimuth and elevation looked at, degrees
uniform vec3 ahead, left, up;
uniform float scale;            // flat: degrees a pixel; else tangent of half the height
uniform float least;            // heat below it is not shown
uniform int count;
uniform vec4 marks[${MOST_MARKS}];    // direction, and class: whose the heat around it is
uniform vec3 colours[14];
uniform bool shown[14];
out vec4 colour;

float line(float degrees) {  // every 30 degrees
  float away = abs(fract(degrees / 30. + .5) - .5) * 30., pixel = fwidth(degrees);
  return 1. - smoothstep(.5 * pixel, 1.2 * pixel, away);
}

void main() {
  vec2 p = gl_FragCoord.xy - size / 2.;
  float azimuth, elevation;
  vec3 ray;
  if (spread) {
    vec2 away = p * scale;
    azimuth = centre.x - away.x; elevation = centre.y + away.y;
    if (abs(elevation) > 90. || abs(away.x) > 180.) { colour = vec4(.06, .07, .09, 1); return; }
  } else {
    vec2 q = p * (2. * scale / size.y);
    ray = normalize(ahead - q.x * left + q.y * up);
    azimuth = degrees(atan(ray.y, ray.x)); elevation = degrees(asin(clamp(ray.z, -1., 1.)));
  }
  vec2 place = vec2(fract((180. - azimuth) / 360.), (90. - elevation) / 180.);
  vec3 seen = pictured ? texture(picture, place).rgb : vec3(.12, .13, .155);
  float grid = max(line(azimuth), line(elevation));
  seen = mix(seen, vec3(.75), grid * (pictured ? .18 : .25));
  float h = texture(heat, place).r, edge = 1. - smoothstep(0., 2. * fwidth(h), h - least);
  if (h >= least) {
    if (spread) {
      vec2 a = radians(vec2(azimuth, elevation));
      ray = vec3(cos(a.y) * cos(a.x), cos(a.y) * sin(a.x), sin(a.y));
    }
    int whose = 13;
    float nearest = -2.;
    for (int i = 0; i < count; i++) {
      float near = dot(marks[i].xyz, ray);
      if (near > nearest) { nearest = near; whose = int(marks[i].w); }
    }
    if (shown[whose]) {
      float strength = smoothstep(least - .02, 1., h);
      seen = mix(seen, mix(colours[whose], vec3(1), strength * strength * .45), .4 + .5 * strength);
      seen = mix(seen, mix(colours[whose], vec3(1), .3), edge);
    }
  }
  colour = vec4(seen, 1);
}`;

export class View {
  yaw = 0; pitch = 0; zoom = 1; flat = false; least = 0.2;
  pictured = false; marks = []; shown = Array(14).fill(true);
  #gl; #at = {}; #colours = new Float32Array(42).fill(1); #textures = [];
  #fineness = 1; #drawnAt = 0; #paces = [];

  constructor(canvas) {
    this.canvas = canvas;
    this.#gl = canvas.getContext('webgl2', { antialias: false, alpha: false });
    if (!this.#gl) throw new Error('This browser has no WebGL 2.');
    canvas.addEventListener('webglcontextlost', event => event.preventDefault());
    canvas.addEventListener('webglcontextrestored', () => { this.#begin(); this.dirty = true; });
    this.#begin();
    this.dirty = true;
  }

  #begin() {
    const gl = this.#gl, program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source); gl.compileShader(shader); gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) || 'no program');
    gl.useProgram(program);
    this.#at = new Proxy({}, { get: (known, name) => known[name] ??= gl.getUniformLocation(program, name) });
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    this.#textures = [0, 1].map(unit => {
      const texture = gl.createTexture();
      gl.activeTexture(gl.TEXTURE0 + unit); gl.bindTexture(gl.TEXTURE_2D, texture);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.R8, 1, 1, 0, gl.RED, gl.UNSIGNED_BYTE, new Uint8Array(1));
      // No mipmaps: where the seam is, neighbours on the screen are far apart in the texture.
      for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, filter, gl.LINEAR);
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.REPEAT);
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
      return texture;
    });
    gl.uniform1i(this.#at.picture, 0); gl.uniform1i(this.#at.heat, 1);
  }

  set colours(colours) {
    colours.forEach((rgb, i) => this.#colours.set(rgb.map(v => v / 255), 3 * i));
    this.dirty = true;
  }

  setHeat(heat, [rows, columns]) {
    const gl = this.#gl;
    gl.activeTexture(gl.TEXTURE1);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.R8, columns, rows, 0, gl.RED, gl.UNSIGNED_BYTE, heat);
    this.dirty = true;
  }

  setPicture(image) {
    const gl = this.#gl;
    this.pictured = image !== null;
    if (image) {
      gl.activeTexture(gl.TEXTURE0);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, image);
    }
    this.dirty = true;
  }

  turn(yaw, pitch, zoom = this.zoom) {
    this.yaw = wrap(yaw);
    this.pitch = Math.max(-90, Math.min(90, pitch));
    this.zoom = Math.max(FARTHEST, Math.min(NEAREST, zoom));
    this.dirty = true;
  }

  // Degrees that a pixel of the page spans, in the middle.
  get degreesPerPixel() {
    const { clientWidth: w, clientHeight: h } = this.canvas;
    return this.flat ? Math.max(180 / h, 360 / w) / Math.max(this.zoom, 1) : this.#fov / h;
  }

  get #fov() { return Math.min(WIDEST / this.zoom, 150); }
  get #tangent() { return Math.tan(this.#fov * Math.PI / 360); }

  get #axes() {
    const ahead = vector(this.yaw, this.pitch), left = vector(this.yaw + 90, 0);
    return { ahead, left, up: cross(ahead, left) };
  }

  // Where a direction is on the page, in CSS pixels from the top left; null if out of sight.
  place({ azimuth, elevation }) {
    const { clientWidth: w, clientHeight: h } = this.canvas;
    if (this.flat) {
      const per = this.degreesPerPixel;
      return { x: w / 2 + wrap(this.yaw - azimuth) / per, y: h / 2 + (this.pitch - elevation) / per };
    }
    const { ahead, left, up } = this.#axes, d = vector(azimuth, elevation), depth = dot(d, ahead);
    if (depth < 0.05) return null;
    const unit = h / 2 / this.#tangent / depth;
    return { x: w / 2 - dot(d, left) * unit, y: h / 2 - dot(d, up) * unit };
  }

  // The direction at a place on the page; null beside the panorama.
  direction(x, y) {
    const { clientWidth: w, clientHeight: h } = this.canvas, dx = x - w / 2, dy = h / 2 - y;
    if (this.flat) {
      const per = this.degreesPerPixel, elevation = this.pitch + dy * per;
      return Math.abs(elevation) > 90 || Math.abs(dx * per) > 180 ? null : { azimuth: wrap(this.yaw - dx * per), elevation };
    }
    const { ahead, left, up } = this.#axes, unit = 2 * this.#tangent / h;
    return angles([0, 1, 2].map(i => ahead[i] - dx * unit * left[i] + dy * unit * up[i]));
  }

  #adapt(now) {
    const pace = now - this.#drawnAt;
    this.#drawnAt = now;
    this.#paces = pace < 500 ? [...this.#paces, pace] : [];
    if (this.#paces.length < PATIENCE) return;
    const usual = this.#paces.toSorted((a, b) => a - b)[PATIENCE / 2];
    this.#paces = [];
    if (usual > SLOW_MS) this.#fineness = Math.max(this.#fineness * 0.8, COARSEST);
    else if (usual < FAST_MS) this.#fineness = Math.min(this.#fineness * 1.1, 1);
  }

  // `now` is the time where the frame of the screen before this one was drawn too.
  draw(now = null) {
    if (now === null) this.#drawnAt = -Infinity;
    else this.#adapt(now);
    const gl = this.#gl, at = this.#at, canvas = this.canvas, ratio = Math.min(devicePixelRatio, 2) * this.#fineness;
    const w = Math.round(canvas.clientWidth * ratio), h = Math.round(canvas.clientHeight * ratio);
    if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
    const { ahead, left, up } = this.#axes, marks = this.marks.slice(0, MOST_MARKS);
    gl.viewport(0, 0, w, h);
    gl.uniform1i(at.spread, this.flat); gl.uniform1i(at.pictured, this.pictured);
    gl.uniform2f(at.size, w, h); gl.uniform2f(at.centre, this.yaw, this.pitch);
    gl.uniform3fv(at.ahead, ahead); gl.uniform3fv(at.left, left); gl.uniform3fv(at.up, up);
    gl.uniform1f(at.scale, this.flat ? this.degreesPerPixel * canvas.clientHeight / h : this.#tangent);
    gl.uniform1f(at.least, this.least);
    gl.uniform1i(at.count, marks.length);
    if (marks.length) gl.uniform4fv(at.marks, marks.flatMap(m => [...vector(m.azimuth, m.elevation), m.class]));
    gl.uniform3fv(at.colours, this.#colours);
    gl.uniform1iv(at.shown, this.shown.map(Number));
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    this.dirty = false;
  }
}
