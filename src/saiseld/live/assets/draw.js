// The small drawings on and beside the panorama: grid, tracks, spectrum.
const TRACK_FRAMES = 30;

export function sized(canvas) {
  const ratio = Math.min(devicePixelRatio, 2), w = canvas.clientWidth, h = canvas.clientHeight;
  if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) {
    canvas.width = Math.round(w * ratio); canvas.height = Math.round(h * ratio);
  }
  const context = canvas.getContext('2d');
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, w, h);
  return { context, w, h };
}

export const colourOf = (canvas, name) => getComputedStyle(canvas).getPropertyValue(name);

// What a direction on the grid is called.
const SIDES = { 0: 'front', 90: 'left', 180: 'behind', '-90': 'right' };
const sideOf = azimuth => `${SIDES[azimuth] ?? ''}${azimuth in SIDES && azimuth % 180 ? ' ' : ''}${azimuth % 180 ? `${Math.abs(azimuth)}°` : ''}`;

// Names of the meridians along the bottom (round: along the horizon) and of the parallels at the left.
let gridOf = '';
export function drawGrid(canvas, view) {
  const key = [view.yaw, view.pitch, view.zoom, view.flat, canvas.clientWidth, canvas.clientHeight, devicePixelRatio].join();
  if (key === gridOf) return;
  gridOf = key;
  const { context, w, h } = sized(canvas), small = w < 600, step = small ? 90 : 30;
  const say = (text, x, y, isMain) => {
    context.font = `${isMain ? '600 ' : ''}${small ? 10 : isMain ? 13 : 11}px system-ui`;
    const half = context.measureText(text).width / 2 + 3, at = Math.min(Math.max(x, half), w - half);
    context.strokeText(text, at, y); context.fillText(text, at, y);
  };
  context.textAlign = 'center'; context.textBaseline = 'middle'; context.lineWidth = 3; context.lineJoin = 'round';
  context.strokeStyle = '#000b'; context.fillStyle = '#eef1f5';
  for (let azimuth = -180 + step; azimuth <= 180; azimuth += step) {
    const at = view.place({ azimuth, elevation: 0 });
    if (!at || at.x < -1 || at.x > w + 1) continue;
    const y = view.flat ? h - 10 : at.y + 12;
    if (y > 0 && y < h) say(sideOf(azimuth), at.x, y, azimuth % 90 === 0);
    if (view.flat && azimuth === 180 && Math.abs(at.x - w / 2) > w / 2 - 1) say(sideOf(azimuth), w - at.x, y, true);
  }
  for (let elevation = -60; elevation <= 60; elevation += small ? 60 : 30) {
    const at = view.place({ azimuth: view.yaw, elevation });
    if (!at || at.y < 8 || at.y > h - 24 || !view.flat && elevation === 0) continue;
    const name = elevation === 0 ? 'horizon' : `${Math.abs(elevation)}° ${elevation > 0 ? 'up' : 'down'}`;
    say(name, view.flat ? 0 : at.x, at.y, elevation === 0);
  }
}

const circle = ({ x, y }, r) => `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`;
const arrow = ({ x, y, towards }) => {
  const to = (turn, size) => `${x + size * Math.cos(towards + turn)} ${y + size * Math.sin(towards + turn)}`;
  return `M${to(0, 14)}L${to(2.4, 12)}L${to(Math.PI, 4)}L${to(-2.4, 12)}Z`;
};

// Where each sound that is shown came from, over the last seconds, with a dot where it is, or an arrow to it.
export function drawTracks(svg, view, frames, shown, colours, wide, inset) {
  const ways = new Map(shown.map(mark => [mark.number, []]));
  for (const { marks } of frames.slice(-TRACK_FRAMES))
    for (const mark of marks) ways.get(mark.number)?.push(view.place(mark));
  while (svg.children.length > shown.length) svg.lastChild.remove();
  shown.forEach((mark, i) => {
    let drawn = '', before = null;
    for (const at of ways.get(mark.number)) {
      if (at) drawn += `${before && Math.abs(at.x - before.x) < wide / 2 ? 'L' : 'M'}${at.x} ${at.y}`;
      before = at;
    }
    const at = view.place(mark), edge = view.edge(mark, inset);
    if (edge) drawn = arrow(edge); else if (at) drawn += circle(at, 1.5) + circle(at, 5);
    const path = svg.children[i] ?? svg.appendChild(document.createElementNS(svg.namespaceURI, 'path'));
    path.setAttribute('d', drawn); path.setAttribute('stroke', edge ? '#fff' : colours[mark.class]);
    path.setAttribute('fill', edge ? colours[mark.class] : 'none');
  });
}

export const CHANNEL_COLOURS = ['#e4572e', '#3a86ff', '#2a9d5c', '#a45ee5'];

export function drawSpectrum(canvas, spectrum, bands, floor) {
  const { context, w, h } = sized(canvas), y = value => h - value / 255 * (h - 2);
  context.fillStyle = colourOf(canvas, '--faint');
  context.font = '11px system-ui';
  for (const level of [-30, -60, -90]) {
    const at = y(255 * (1 - level / floor));
    context.fillRect(0, at, w, 0.5);
    context.fillText(`${level} dB`, 2, at - 2);
  }
  for (let channel = 0; channel < CHANNEL_COLOURS.length; channel++) {
    context.strokeStyle = CHANNEL_COLOURS[channel]; context.lineWidth = 1.5;
    context.beginPath();
    for (let band = 0; band < bands; band++) context.lineTo((band + 0.5) * w / bands, y(spectrum[channel * bands + band]));
    context.stroke();
  }
}
