import { CHANNEL_COLOURS, drawSpectrum, drawTimeLine, drawTracks } from './draw.js';
import { History } from './history.js';
import { Listening } from './listen.js';
import { told } from './sphere.js';
import { View } from './view.js';
import { Wire } from './wire.js';

const $ = id => document.getElementById(id);
const TURN = 5, ZOOM = 1.2, CLICK_PX = 5, TELL_MS = 1500, LATENCIES = 600, SIDE_MS = 250, PICTURE_MS = 60;

const css = ([r, g, b]) => `rgb(${r} ${g} ${b})`;
// What is there already is not written again: the page would be laid out anew.
const say = (element, text) => element.textContent !== text && Boolean(element.textContent = text);

const wire = new Wire();
let view, about, history, listening, colours = [];
let at = null, shownFrame = null, hidden = new Set(), threshold = 0.2;
let latencies = [], timed = 0, toldNumbers = new Set(), toldAt = -Infinity, pictureOf = null, decoding = false, newest = null, drawn = 0;

const isShown = mark => !hidden.has(mark.class) && mark.score >= threshold;
const marks = () => shownFrame ? shownFrame.marks.filter(isShown) : [];

// --- what comes -----------------------------------------------------------------------------------------------------

wire.addEventListener('about', ({ detail }) => {
  if (about) return;
  about = detail;
  colours = about.classes.map(c => css(c.colour));
  view.colours = [...about.classes.map(c => c.colour), [255, 200, 120]];
  history = new History(about.fps);
  listening = new Listening(about.rate, +$('gain').value);
  listening.onend = tellListening;
  $('threshold').value = about.threshold;
  $('threshold').oninput();
  makeBoxes(); makeLevels();
});

wire.addEventListener('open', () => { $('state').textContent = 'Connected'; });
wire.addEventListener('closed', () => { $('state').textContent = 'Connection lost; trying again'; });
wire.addEventListener('lost', ({ detail }) => { $('lost').textContent = detail; });

wire.addEventListener('frame', ({ detail }) => {
  const size = about.heat[0] * about.heat[1], { content } = detail;
  const frame = { ...detail, heat: content.slice(0, size), spectrum: content.slice(size), content: null };
  history.add(frame);
  if (at === null) frame.pictured ? hold(frame) : show(frame);
  say($('state'), frame.imaged ? 'Connected' : 'Overloaded: this frame was dropped');
  drawSideSoon();
  tell(frame);
});

wire.addEventListener('picture', ({ detail }) => {
  const blob = new Blob([detail.content], { type: 'image/jpeg' });
  history.addPicture(detail.frame, blob);
  if (at === null) showPicture(blob);
});

// A frame is drawn together with its picture, which comes right after it; without, if that takes longer.
let held = null, holding;
function hold(frame) {
  release();
  held = frame;
  holding = setTimeout(release, PICTURE_MS);
}

function release() {
  clearTimeout(holding);
  const frame = held;
  held = null;
  if (frame && at === null) show(frame);
}

function show(frame) {
  shownFrame = frame;
  view.setHeat(frame.heat, about.heat);
  if (!frame.pictured) showPicture(null);
  drawMarks();
}

async function showPicture(blob) {
  if (blob === pictureOf) return;
  pictureOf = blob;
  if (blob === null) { newest = null; view.setPicture(null); return; }
  if (decoding) return;  // the latest is taken when this one is done
  decoding = true;
  while (pictureOf !== newest && pictureOf !== null) {
    const image = await createImageBitmap(newest = pictureOf);
    if (pictureOf !== null) view.setPicture(image);
    image.close();
    release();
  }
  decoding = false;
}

// Say new sounds to who cannot see them, a few words now and then.
function tell(frame) {
  const fresh = frame.marks.filter(mark => isShown(mark) && !toldNumbers.has(mark.number));
  if (!fresh.length || performance.now() - toldAt < TELL_MS) return;
  toldAt = performance.now();
  toldNumbers = new Set([...toldNumbers, ...fresh.map(mark => mark.number)].slice(-200));
  $('told').textContent = fresh.map(mark => `${about.classes[mark.class].name}, ${told(mark)}`).join('. ');
}

// --- what is shown --------------------------------------------------------------------------------------------------

function drawMarks() {
  view.marks = shownFrame ? shownFrame.marks : [];
  view.shown = Array.from({ length: 14 }, (_, c) => !hidden.has(c));
  view.least = threshold;
  view.dirty = true;
}

function drawLabels() {
  const index = history ? history.frames.indexOf(shownFrame) : -1, labels = $('labels'), wanted = marks();
  const wide = view.canvas.clientWidth;
  drawTracks($('tracks'), view, index < 0 ? [] : history.frames.slice(0, index + 1), wanted, colours, wide);
  while (labels.children.length > wanted.length) labels.lastChild.remove();
  wanted.forEach((mark, i) => {
    const label = labels.children[i] ?? labels.appendChild(document.createElement('span')), place = view.place(mark);
    label.hidden = !place;
    if (!place) return;
    const away = mark.distance === null ? '' : `, ${mark.distance} m`;
    if (say(label, `${about.classes[mark.class].name} ${mark.score.toFixed(2)}${away}`)) label.half = label.offsetWidth / 2;
    label.style.borderColor = colours[mark.class];
    const middle = Math.min(Math.max(place.x, label.half + 2), wide - label.half - 2);
    label.style.transform = `translate(${middle}px, ${place.y - 12}px) translate(-50%, -100%)`;
  });
  say($('facing'), `${view.flat ? 'flat, ' : ''}${told({ azimuth: view.yaw, elevation: view.pitch })}`);
}

function drawList() {
  const list = $('marks'), wanted = marks();
  const key = wanted.map(mark => mark.number).join();
  if (list.dataset.key !== key) {  // rows stay while their sounds do, so that focus does
    list.dataset.key = key;
    const focused = document.activeElement?.dataset?.number;
    list.replaceChildren(...wanted.map(row));
    if (!wanted.length) list.append(Object.assign(document.createElement('li'), { textContent: 'Nothing credible is heard.' }));
    list.querySelector(`button[data-number="${focused}"]`)?.focus();
  }
  wanted.forEach((mark, i) => {
    const away = mark.distance === null ? '' : `, ${mark.distance} m`;
    say(list.children[i].querySelector('span'), `${about.classes[mark.class].name}: ${told(mark)}${away} (${mark.score.toFixed(2)})`);
  });
}

function row(mark) {
  const item = document.createElement('li'), dot = document.createElement('i'), text = document.createElement('span');
  dot.className = 'dot';
  dot.style.background = colours[mark.class];
  const button = Object.assign(document.createElement('button'), { textContent: 'Listen' });
  button.dataset.number = mark.number;
  button.setAttribute('aria-label', `Listen to ${about.classes[mark.class].name}`);
  button.onclick = () => {
    const now = shownFrame.marks.find(one => one.number === mark.number);
    if (now) { view.turn(now.azimuth, now.elevation); listenTo(now); }
  };
  item.append(dot, text, button);
  return item;
}

function drawSide() {
  if (!shownFrame) return;
  drawList();
  shownFrame.levels.forEach((level, i) => {
    $(`level${i}`).value = level;
    say($(`level${i}-text`), `${level.toFixed(0)} dB`);
  });
  drawSpectrum($('spectrum'), shownFrame.spectrum, about.bands, about.floor);
  say($('dropped'), String(shownFrame.dropped));
  say($('pictures'), shownFrame.pictured ? 'yes' : 'none');
  if (latencies.length) {
    const sorted = latencies.toSorted((a, b) => a - b), share = p => Math.round(1000 * sorted[Math.floor(p * (sorted.length - 1))]);
    say($('latency'), `${share(0.5)} ms, 99 % ≤ ${share(0.99)} ms`);
  }
  drawTime();
}

function drawTime() {
  const frames = history.frames, scrub = $('scrub');
  drawTimeLine($('lanes'), frames, history.most, isShown, colours, shownFrame.frame);
  scrub.min = frames[0].frame; scrub.max = frames.at(-1).frame; scrub.value = shownFrame.frame;
  const ago = (frames.at(-1).frame - shownFrame.frame) / about.fps;
  if (say($('moment'), at === null ? 'live' : `${ago.toFixed(1)} s ago`)) scrub.setAttribute('aria-valuetext', $('moment').textContent);
}

let sideDue = null;
function drawSideSoon() {
  sideDue ??= setTimeout(() => { sideDue = null; drawSide(); }, SIDE_MS);
}

// Drawn is what changed, once for a frame of the screen at most, and not again before it is done.
let drawing = false;
function redraw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(async () => {
    const frame = at === null ? shownFrame : null;
    view.draw();
    drawLabels();
    await view.done();
    drawn++;
    if (frame && !frame.timed) {
      frame.timed = true;
      if (wire.now > 0) { timed++; latencies = [...latencies.slice(-LATENCIES + 1), wire.now - frame.captured]; }
    }
    drawing = false;
    if (view.dirty) redraw();
  });
}

// --- what one does --------------------------------------------------------------------------------------------------

function goTo(frameNumber) {
  at = frameNumber;
  $('live').setAttribute('aria-pressed', at === null);
  const frames = history?.frames ?? [];
  if (!frames.length) return;
  const frame = at === null ? frames.at(-1) : frames.find(one => one.frame >= at) ?? frames.at(-1);
  show(frame);
  if (frame.pictured) showPicture(history.picture(frame.frame));
  drawSide();
}

function listenTo(direction) {
  if (!direction || !listening) return;
  listening.to({ azimuth: direction.azimuth, elevation: direction.elevation });
  tellListening();
}

function tellListening() {
  const to = listening.direction;
  $('listening').textContent = to ? `Listening: ${told(to)}` : '';
  $('listen').textContent = to ? 'Stop listening' : 'Listen';
  aim(false);
}

function aim(on) {
  document.body.classList.toggle('aiming', on);
  $('listen').setAttribute('aria-pressed', on || Boolean(listening?.direction));
  if (on) $('listening').textContent = 'Click where you want to listen';
}

function makeBoxes() {
  const boxes = about.classes.map(({ name }, c) => {
    const label = document.createElement('label'), box = document.createElement('input'), dot = document.createElement('i');
    Object.assign(box, { type: 'checkbox', checked: true });
    box.onchange = () => { box.checked ? hidden.delete(c) : hidden.add(c); drawMarks(); drawSide(); };
    dot.className = 'dot';
    dot.style.background = colours[c];
    label.append(box, dot, name);
    return label;
  });
  $('boxes').replaceChildren(...boxes);
  for (const [id, checked] of [['all', true], ['none', false]])
    $(id).onclick = () => $('boxes').querySelectorAll('input').forEach(box => { box.checked = checked; box.onchange(); });
}

function makeLevels() {
  $('levels').replaceChildren(...CHANNEL_COLOURS.map((colour, i) => {
    const line = document.createElement('div');
    line.className = 'level';
    const name = Object.assign(document.createElement('label'), { htmlFor: `level${i}`, textContent: i + 1 });
    name.style.color = colour;
    const meter = Object.assign(document.createElement('meter'), { id: `level${i}`, min: -100, low: -80, high: -6, max: 0, value: -100 });
    meter.setAttribute('aria-label', `Level of channel ${i + 1}`);
    line.append(name, meter, Object.assign(document.createElement('output'), { id: `level${i}-text` }));
    return line;
  }));
}

function setFlat(flat) {
  view.flat = flat;
  $('flat').setAttribute('aria-pressed', flat);
  view.turn(view.yaw, flat ? 0 : view.pitch, 1);
}

const ACTIONS = {
  ArrowLeft: () => view.turn(view.yaw + TURN, view.pitch), ArrowRight: () => view.turn(view.yaw - TURN, view.pitch),
  ArrowUp: () => view.turn(view.yaw, view.pitch + TURN), ArrowDown: () => view.turn(view.yaw, view.pitch - TURN),
  '+': () => view.turn(view.yaw, view.pitch, view.zoom * ZOOM), '=': () => ACTIONS['+'](),
  '-': () => view.turn(view.yaw, view.pitch, view.zoom / ZOOM),
  f: () => setFlat(!view.flat), 0: () => view.turn(0, 0, 1), Home: () => view.turn(0, 0, 1),
  l: () => listenTo({ azimuth: view.yaw, elevation: view.pitch }), Escape: () => { listening?.stop(); aim(false); },
  ' ': () => goTo(at === null && shownFrame ? shownFrame.frame : null),
};

function handle(canvas) {
  const fingers = new Map();
  let moved = 0;
  canvas.onkeydown = event => {
    const action = ACTIONS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (action && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); action(); }
  };
  canvas.onpointerdown = event => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, event);
    if (fingers.size === 1) moved = 0;
  };
  canvas.onpointermove = event => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const dx = event.clientX - before.clientX, dy = event.clientY - before.clientY, per = view.degreesPerPixel;
    moved += Math.hypot(dx, dy);
    if (fingers.size === 1) view.turn(view.yaw + dx * per, view.pitch + dy * per);
    else {
      const apart = () => { const [a, b] = [...fingers.values()]; return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY); };
      const was = apart();
      fingers.set(event.pointerId, event);
      view.turn(view.yaw, view.pitch, view.zoom * apart() / Math.max(was, 1));
    }
    fingers.set(event.pointerId, event);
  };
  canvas.onpointerup = canvas.onpointercancel = event => {
    fingers.delete(event.pointerId);
    if (event.type === 'pointerup' && moved < CLICK_PX && document.body.classList.contains('aiming')) listenTo(view.direction(event.offsetX, event.offsetY));
  };
  canvas.ondblclick = event => listenTo(view.direction(event.offsetX, event.offsetY));
  canvas.addEventListener('wheel', event => {
    event.preventDefault();
    view.turn(view.yaw, view.pitch, view.zoom * ZOOM ** (-Math.sign(event.deltaY)));
  }, { passive: false });
}

$('flat').onclick = () => setFlat(!view.flat);
$('front').onclick = ACTIONS[0];
$('nearer').onclick = ACTIONS['+'];
$('farther').onclick = ACTIONS['-'];
$('listen').onclick = () => listening?.direction ? listening.stop() : aim(!document.body.classList.contains('aiming'));
$('gain').oninput = () => {
  $('gain').setAttribute('aria-valuetext', `${$('gain').value} decibels`);
  if (listening) listening.decibels = +$('gain').value;
};
$('live').onclick = () => goTo(at === null && shownFrame ? shownFrame.frame : null);
$('scrub').oninput = () => goTo(+$('scrub').value);
$('lanes').onclick = event => {
  if (!history?.frames.length) return;
  const from = history.frames.at(-1).frame - (1 - event.offsetX / $('lanes').clientWidth) * history.most;
  goTo(Math.max(Math.round(from), history.frames[0].frame));
};
$('threshold').oninput = () => {
  threshold = +$('threshold').value;
  $('least').textContent = threshold.toFixed(2);
  if (shownFrame) { drawMarks(); drawSide(); }
};

try {
  view = new View($('view'));
  handle(view.canvas);
  $('threshold').oninput();
  view.onchange = redraw;
  new ResizeObserver(() => view.fit()).observe(view.canvas);
  wire.connect();
} catch (error) {
  $('state').textContent = error.message;
}

// For who measures: what has been drawn, how late, and what was heard.
window.saiseld = {
  get drawn() { return drawn; }, get timed() { return timed; }, get latencies() { return latencies; }, get frame() { return shownFrame?.frame; },
  get listening() { return listening; }, get view() { return view; },
};
