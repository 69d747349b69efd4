// The panorama: a sphere with picture and heat on it as two textures, looked at from its middle or spread out flat.
import { angles, between, cross, dot, vector, wrap } from './sphere.js';

const MOST_MARKS = 32, WIDEST = 100, NEAREST = 8, FARTHEST = 0.6;
// Heat and marks take this long from one frame to the next: a little less than there is between two.
const GLIDE_MS = 80;
// Where drawing takes more of the time there is than the first, pixels get larger; less than the second, finer again.
const BUSY = 0.75, IDLE = 0.35, WANTED_MS = 33, COARSEST = 0.4, PATIENCE = 8, LOOK_MS = 2;
// The sphere in facets of 5 degrees, a line on every sixth edge.
const COLUMNS = 72, ROWS = 36, LINE = 6;

const VERTEX = `#version 300 es
uniform bool spread;
uniform vec2 centre, half_span; // flat: azimuth and elevation looked at, degrees to the edge
uniform float first_turn;       // flat: how many turns to the left of the first sphere the first to be drawn is
uniform vec3 ahead, left, up;
uniform vec2 tangent;           // of half the width and half the height
in vec2 place;
out vec2 at;                    // of the panorama: 0 0 is its top left

void main() {
  at = place;
  vec2 angle = vec2(180. - 360. * at.x, 90. - 180. * at.y);
  if (spread) {
    angle.x += 360. * (first_turn + float(gl_InstanceID));
    gl_Position = vec4((angle - centre) * vec2(-1, 1) / half_span, 0, 1);
  } else {
    angle = radians(angle);
    vec3 ray = vec3(cos(angle.y) * cos(angle.x), cos(angle.y) * sin(angle.x), sin(angle.y));
    gl_Position = vec4(vec2(-dot(ray, left), dot(ray, up)) / tangent, 0, dot(ray, ahead));
  }
}`;

// One texture and nothing else for every pixel: all that costs is where there is heat alone.
const FRAGMENTS = {
  picture: `
uniform sampler2D picture;
void main() { colour = texture(picture, at); }`,
  backdrop: `
void main() {                   // without pictures: sky above, ground below
  float up = 1. - 2. * at.y;
  vec3 sky = mix(vec3(.20, .25, .33), vec3(.10, .13, .19), up), ground = mix(vec3(.15, .155, .165), vec3(.085, .09, .10), -up);
  colour = vec4(up > 0. ? sky : ground, 1);
}`,
  lines: `
uniform float strength;
void main() { colour = strength * vec4(.8, .85, .9, 1); }`,
  heat: `
uniform sampler2D heat;
uniform float least;            // heat below it is not shown
uniform int count;
uniform vec4 marks[${MOST_MARKS}];    // direction, and class: whose the heat around it is
uniform vec3 colours[14];
uniform bool shown[14];

void main() {
  colour = vec4(0);
  float h = texture(heat, at).r, edge = 1. - smoothstep(0., 2. * fwidth(h), h - least);
  if (h < least) return;
  vec2 angle = radians(vec2(180. - 360. * at.x, 90. - 180. * at.y));
  vec3 ray = vec3(cos(angle.y) * cos(angle.x), cos(angle.y) * sin(angle.x), sin(angle.y));
  int whose = 13;
  float nearest = -2.;
  for (int i = 0; i < count; i++) {
    float near = dot(marks[i].xyz, ray);
    if (near > nearest) { nearest = near; whose = int(marks[i].w); }
  }
  if (!shown[whose]) return;
  float strength = smoothstep(least - .02, 1., h), cover = .4 + .5 * strength;
  colour = cover * vec4(mix(colours[whose], vec3(1), strength * strength * .45), 1);
  colour = mix(colour, vec4(mix(colours[whose], vec3(1), .3), 1), edge);
}`,
};

// Corners of the facets, row by row, and which of them make two triangles of a facet.
const corner = (column, row) => row * (COLUMNS + 1) + column;
function facet(column, row) {
  const left = corner(column, row), below = corner(column, row + 1);
  return [left, below, left + 1, left + 1, below, below + 1];
}

function sphere() {
  const places = [], facets = [], lines = [], axes = [];
  for (let row = 0; row <= ROWS; row++)
    for (let column = 0; column <= COLUMNS; column++) {
      places.push(column / COLUMNS, row / ROWS);
      if (column === COLUMNS) continue;
      if (row < ROWS) facets.push(...facet(column, row));
      if (row % LINE === 0) (2 * row === ROWS ? axes : lines).push(corner(column, row), corner(column + 1, row));
      if (column % LINE === 0 && row < ROWS) (4 * column % COLUMNS ? lines : axes).push(corner(column, row), corner(column, row + 1));
    }
  return { places, picture: facets, backdrop: facets, lines, axes };
}

export class View {
  yaw = 0; pitch = 0; zoom = 1; flat = true; least = 0.12; onchange = () => {};
  pictured = false; marks = []; shown = Array(14).fill(true);
  #gl; #programs = {}; #parts = {}; #colours = new Float32Array(42).fill(1); #heat = new Uint8Array(1); #cells = [1, 1];
  #from = null; #to = { heat: this.#heat, marks: [] }; #since = 0; #lasts = 0; #hotIsOld = true; #owners = [];
  #dirty = false; #w = 0; #h = 0; #size = ''; #fineness = 1; #begun = 0; #pace = 0; #shares = [];

  constructor(canvas) {
    this.canvas = canvas;
    this.#gl = canvas.getContext('webgl2', { antialias: false, alpha: false, depth: false });
    if (!this.#gl) throw new Error('This browser has no WebGL 2.');
    canvas.addEventListener('webglcontextlost', event => event.preventDefault());
    canvas.addEventListener('webglcontextrestored', () => { this.#begin(); this.dirty = true; });
    this.#begin();
    this.fit();
  }

  // Take the size that the canvas has on the page.
  fit() {
    this.#w = this.canvas.clientWidth; this.#h = this.canvas.clientHeight;
    this.dirty = true;
  }

  // Whether it is to be drawn again.
  get dirty() { return this.#dirty; }
  set dirty(so) {
    this.#dirty = so;
    if (so) this.onchange();
  }

  #begin() {
    const gl = this.#gl, { places, ...parts } = sphere();
    for (const [name, fragment] of Object.entries(FRAGMENTS)) this.#programs[name] = this.#program(fragment);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(places), gl.STATIC_DRAW);
    gl.enableVertexAttribArray(0); gl.vertexAttribPointer(0, 2, gl.FLOAT, false, 0, 0);
    for (const name of [...Object.keys(FRAGMENTS), 'axes']) this.#parts[name] = { buffer: gl.createBuffer(), count: 0 };
    for (const [name, corners] of Object.entries(parts)) this.#fill(name, corners);
    gl.enable(gl.BLEND); gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    this.#size = '';
    for (const unit of [0, 1]) {
      gl.activeTexture(gl.TEXTURE0 + unit); gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
      for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, filter, gl.LINEAR);
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.REPEAT);
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
    }
    this.pictured = false;
    this.#upload();
  }

  // A program, and where its uniforms are by their names.
  #program(fragment) {
    const gl = this.#gl, program = gl.createProgram();
    const head = '#version 300 es\nprecision highp float;\nin vec2 at;\nout vec4 colour;';
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, head + fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source); gl.compileShader(shader); gl.attachShader(program, shader);
    }
    gl.bindAttribLocation(program, 0, 'place');
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) || 'no program');
    const at = new Proxy({}, { get: (known, name) => known[name] ??= gl.getUniformLocation(program, name) });
    return { program, at };
  }

  #fill(name, corners) {
    const gl = this.#gl, part = this.#parts[name];
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, part.buffer);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, new Uint16Array(corners), gl.DYNAMIC_DRAW);
    part.count = corners.length;
  }

  set colours(colours) {
    colours.forEach((rgb, i) => this.#colours.set(rgb.map(v => v / 255), 3 * i));
    this.dirty = true;
  }

  // Show a frame's heat and marks, gliding there from what is shown now unless it is to be at once.
  set(heat, cells, marks, glides) {
    this.#from = { heat: this.#heat, marks: this.marks };
    this.#to = { heat, marks }; this.#cells = cells;
    this.#since = performance.now(); this.#lasts = glides && this.#heat.length === heat.length ? GLIDE_MS : 0;
    this.#glide();
    this.dirty = true;
  }

  // Whether what is drawn is the frame that was set, and no more on its way there.
  get settled() { return this.#from === null; }

  #glide() {
    if (this.settled) return;
    const share = this.#lasts ? Math.min((performance.now() - this.#since) / this.#lasts, 1) : 1, { heat: before, marks } = this.#from;
    const { heat: after, marks: wanted } = this.#to, was = new Map(marks.map(mark => [mark.number, mark]));
    this.#heat = share === 1 ? after : after.map((value, i) => before[i] + share * (value - before[i]));
    this.marks = share === 1 ? wanted : wanted.map(mark => was.has(mark.number) ? { ...mark, ...between(was.get(mark.number), mark, share) } : mark);
    // The heat of a sound that has ended fades in its own colour.
    const isOver = mark => !wanted.some(one => one.number === mark.number);
    this.#owners = share === 1 ? wanted : [...this.marks, ...marks.filter(isOver)];
    if (share === 1) this.#from = null;
    this.#upload();
  }

  #upload() {
    const gl = this.#gl, [rows, columns] = this.#cells;
    gl.activeTexture(gl.TEXTURE1);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.R8, columns, rows, 0, gl.RED, gl.UNSIGNED_BYTE, this.#heat);
    this.#hotIsOld = true;
  }

  // The facets on which there is heat to be seen: that of a cell reaches half a cell beyond its edges.
  #hot() {
    const [rows, columns] = this.#cells, hot = new Set();
    this.#heat.forEach((value, i) => {
      if (value < 255 * this.least) return;
      const row = Math.floor(i / columns), column = i % columns, down = ROWS / rows, along = COLUMNS / columns;
      for (let r = Math.max(Math.floor((row - .5) * down), 0); r < Math.min((row + 1.5) * down, ROWS); r++)
        for (let c = Math.floor((column - .5) * along); c < (column + 1.5) * along; c++)
          hot.add(r * COLUMNS + (c + COLUMNS) % COLUMNS);
    });
    return [...hot].flatMap(i => facet(i % COLUMNS, Math.floor(i / COLUMNS)));
  }

  setPicture(image) {
    const gl = this.#gl, pixels = [gl.RGBA, gl.UNSIGNED_BYTE, image];
    this.pictured = image !== null;
    if (image) {
      gl.activeTexture(gl.TEXTURE0);
      const size = `${image.width} x ${image.height}`;
      if (size === this.#size) gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, ...pixels);
      else gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, ...pixels);
      this.#size = size;
    }
    this.dirty = true;
  }

  turn(yaw, pitch, zoom = this.zoom) {
    this.yaw = wrap(yaw);
    this.zoom = Math.max(this.flat ? 1 : FARTHEST, Math.min(NEAREST, zoom));
    const most = this.flat ? Math.max(90 - this.#h / 2 * this.degreesPerPixel, 0) : 90;
    this.pitch = Math.max(-most, Math.min(most, pitch));
    this.dirty = true;
  }

  // Degrees that a pixel of the page spans, in the middle.
  get degreesPerPixel() {
    return this.flat ? Math.max(180 / this.#h, 360 / this.#w) / Math.max(this.zoom, 1) : this.#fov / this.#h;
  }

  get #fov() { return Math.min(WIDEST / this.zoom, 150); }
  get #tangent() { return Math.tan(this.#fov * Math.PI / 360); }

  get #axes() {
    const ahead = vector(this.yaw, this.pitch), left = vector(this.yaw + 90, 0);
    return { ahead, left, up: cross(ahead, left) };
  }

  // Where a direction is on the page, in CSS pixels from the top left; null if out of sight.
  place({ azimuth, elevation }) {
    const w = this.#w, h = this.#h;
    if (this.flat) {
      const per = this.degreesPerPixel;
      return { x: w / 2 + wrap(this.yaw - azimuth) / per, y: h / 2 + (this.pitch - elevation) / per };
    }
    const { ahead, left, up } = this.#axes, d = vector(azimuth, elevation), depth = dot(d, ahead);
    if (depth < 0.05) return null;
    const unit = h / 2 / this.#tangent / depth;
    return { x: w / 2 - dot(d, left) * unit, y: h / 2 - dot(d, up) * unit };
  }

  // Where at the edge an arrow to what is out of sight belongs, and where it points (radians from the right, downwards);
  // null if it is in sight.
  edge(direction, inset) {
    const w = this.#w / 2, h = this.#h / 2, at = this.place(direction);
    if (at && Math.abs(at.x - w) < w && Math.abs(at.y - h) < h) return null;
    const { left, up } = this.#axes, d = vector(direction.azimuth, direction.elevation);
    const [dx, dy] = this.flat ? [at.x - w, at.y - h] : [-dot(d, left), -dot(d, up)];
    const size = Math.hypot(dx, dy), [x, y] = size > 1e-6 ? [dx / size, dy / size] : [1, 0];
    const reach = Math.min((w - inset) / Math.abs(x), (h - inset) / Math.abs(y));
    return { x: w + x * reach, y: h + y * reach, towards: Math.atan2(y, x) };
  }

  // The direction at a place on the page; null beside the panorama.
  direction(x, y) {
    const w = this.#w, h = this.#h, dx = x - w / 2, dy = h / 2 - y;
    if (this.flat) {
      const per = this.degreesPerPixel, elevation = this.pitch + dy * per;
      return Math.abs(elevation) > 90 || Math.abs(dx * per) > 180 ? null : { azimuth: wrap(this.yaw - dx * per), elevation };
    }
    const { ahead, left, up } = this.#axes, unit = 2 * this.#tangent / h;
    return angles([0, 1, 2].map(i => ahead[i] - dx * unit * left[i] + dy * unit * up[i]));
  }

  draw() {
    const gl = this.#gl, canvas = this.canvas, ratio = Math.min(devicePixelRatio, 2) * this.#fineness;
    const w = Math.round(this.#w * ratio), h = Math.round(this.#h * ratio), now = performance.now();
    this.#glide();
    this.#dirty = !this.settled;
    this.#pace = now - this.#begun; this.#begun = now;
    if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
    gl.viewport(0, 0, w, h);
    gl.disable(gl.SCISSOR_TEST);
    this.#clear(.06, .07, .09);
    let first = 0, turns = 1;
    if (this.flat) {  // once round and no further, on two spheres where the seam is not at the edge
      const unit = ratio / this.degreesPerPixel, half = Math.min(180, w / 2 / unit);
      first = Math.floor((this.yaw - half + 180) / 360);
      turns = Math.ceil((this.yaw + half + 180) / 360) - first;
      gl.enable(gl.SCISSOR_TEST);
      gl.scissor(w / 2 - half * unit, h / 2 - (90 + this.pitch) * unit, 2 * half * unit, 180 * unit);
    }
    if (this.pictured) this.#part('picture', turns, first, at => gl.uniform1i(at.picture, 0));
    else this.#part('backdrop', turns, first, () => {});
    this.#part('lines', turns, first, at => gl.uniform1f(at.strength, .2));
    this.#part('axes', turns, first, at => gl.uniform1f(at.strength, .5));
    if (this.#hotIsOld) this.#fill('heat', this.#hot());
    this.#hotIsOld = false;
    if (this.#parts.heat.count) this.#part('heat', turns, first, at => {
      const marks = this.#owners.slice(0, MOST_MARKS);
      gl.uniform1i(at.heat, 1); gl.uniform1f(at.least, this.least);
      gl.uniform1i(at.count, marks.length);
      if (marks.length) gl.uniform4fv(at.marks, marks.flatMap(m => [...vector(m.azimuth, m.elevation), m.class]));
      gl.uniform3fv(at.colours, this.#colours); gl.uniform1iv(at.shown, this.shown.map(Number));
    });
  }

  #clear(...rgb) {
    this.#gl.clearColor(...rgb, 1); this.#gl.clear(this.#gl.COLOR_BUFFER_BIT);
  }

  #part(name, turns, first, set) {
    const isLines = name === 'lines' || name === 'axes';
    const gl = this.#gl, { program, at } = this.#programs[isLines ? 'lines' : name], { buffer, count } = this.#parts[name];
    const { ahead, left, up } = this.#axes, per = this.degreesPerPixel / 2, tangent = this.#tangent;
    gl.useProgram(program);
    gl.uniform1i(at.spread, this.flat); gl.uniform1f(at.first_turn, first);
    gl.uniform2f(at.centre, this.yaw, this.pitch); gl.uniform2f(at.half_span, this.#w * per, this.#h * per);
    gl.uniform3fv(at.ahead, ahead); gl.uniform3fv(at.left, left); gl.uniform3fv(at.up, up);
    gl.uniform2f(at.tangent, tangent * this.#w / this.#h, tangent);
    set(at);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, buffer);
    gl.drawElementsInstanced(isLines ? gl.LINES : gl.TRIANGLES, count, gl.UNSIGNED_SHORT, 0, turns);
  }

  // Wait until it is drawn, and not only asked for.
  async done() {
    const gl = this.#gl, sync = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    gl.flush();
    while (sync && gl.getSyncParameter(sync, gl.SYNC_STATUS) === gl.UNSIGNALED)
      await new Promise(resolve => setTimeout(resolve, LOOK_MS));
    gl.deleteSync(sync);
    this.#adapt((performance.now() - this.#begun) / Math.max(this.#pace, WANTED_MS));
  }

  #adapt(share) {
    this.#shares.push(share);
    if (this.#shares.length < PATIENCE) return;
    const usual = this.#shares.sort((a, b) => a - b)[PATIENCE / 2];
    this.#shares = [];
    if (usual > BUSY) this.#fineness = Math.max(this.#fineness * 0.8, COARSEST);
    else if (usual < IDLE) this.#fineness = Math.min(this.#fineness * 1.1, 1);
  }
}
