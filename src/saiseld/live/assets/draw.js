// The small drawings beside the panorama: tracks, time line, spectrum.
const TRACK_FRAMES = 30;

function sized(canvas) {
  const ratio = Math.min(devicePixelRatio, 2), w = canvas.clientWidth, h = canvas.clientHeight;
  if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) {
    canvas.width = Math.round(w * ratio); canvas.height = Math.round(h * ratio);
  }
  const context = canvas.getContext('2d');
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, w, h);
  return { context, w, h };
}

const ink = canvas => getComputedStyle(canvas).getPropertyValue('--faint');

const circle = ({ x, y }, r) => `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`;

// Where each sound that is shown came from, over the last seconds, with a dot where it is.
export function drawTracks(svg, view, frames, shown, colours, wide) {
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
    const at = view.place(mark);
    if (at) drawn += circle(at, 1) + circle(at, 3);
    const path = svg.children[i] ?? svg.appendChild(document.createElementNS(svg.namespaceURI, 'path'));
    path.setAttribute('d', drawn); path.setAttribute('stroke', colours[mark.class]);
  });
}

// Time to the right, azimuth upwards as it is to the left: 180 at the top.
export function drawTimeLine(canvas, frames, most, isShown, colours, at) {
  const { context, w, h } = sized(canvas);
  if (!frames.length) return;
  const last = frames.at(-1).frame, x = frame => w - (last - frame + 1) * w / most, wide = Math.max(w / most, 1);
  context.fillStyle = context.strokeStyle = ink(canvas);
  context.font = '10px system-ui';
  for (const azimuth of [90, 0, -90]) {
    const y = h * (180 - azimuth) / 360;
    context.fillRect(0, y, w, 0.5);
    context.fillText(azimuth ? `${Math.abs(azimuth)}° ${azimuth > 0 ? 'left' : 'right'}` : 'front', 2, y - 2);
  }
  for (const { frame, marks } of frames)
    for (const mark of marks.filter(isShown)) {
      context.fillStyle = colours[mark.class];
      context.fillRect(x(frame), h * (180 - mark.azimuth) / 360 - 2, wide, 4);
    }
  context.fillStyle = '#e11d48';
  context.fillRect(x(at) + wide / 2 - 1, 0, 2, h);
}

export const CHANNEL_COLOURS = ['#e4572e', '#3a86ff', '#2a9d5c', '#a45ee5'];

export function drawSpectrum(canvas, spectrum, bands, floor) {
  const { context, w, h } = sized(canvas), y = value => h - value / 255 * (h - 2);
  context.fillStyle = ink(canvas);
  context.font = '10px system-ui';
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
