import { drawGrid, drawSpectrum, drawTracks } from './draw.js';
import { History } from './history.js';
import { handleKeys, handlePointer } from './keys.js';
import { drawLabels, INSET } from './labels.js';
import { Listening } from './listen.js';
import { $, drawBefore, drawLevels, drawNow, makeBoxes, makeLevels, say } from './panel.js';
import { clock, told } from './sphere.js';
import { State } from './state.js';
import { drawTimeLine, frameAt, spanOf } from './timeline.js';
import { View } from './view.js';
import { Wire } from './wire.js';

const TURN = 5, ZOOM = 1.2, TELL_MS = 1500, LATENCIES = 600, SIDE_MS = 250, PICTURE_MS = 60;
// Between two frames the heat is drawn again and again, unless once takes this long: then for half of the time at most.
const SLOW_MS = 25, FRAME_MS = 100;

const css = ([r, g, b]) => `rgb(${r} ${g} ${b})`;
const stillness = matchMedia('(prefers-reduced-motion: reduce)');

const wire = new Wire(), state = new State(), hidden = new Set();
let view, about, history, listening, colours = [], assumed = false;
let at = null, shownFrame = null, threshold = 0;
let latencies = [], timed = 0, toldNumbers = new Set(), toldAt = -Infinity, pictureOf = null, decoding = false, newest = null, drawn = 0;

const isShown = mark => !hidden.has(mark.class) && mark.score >= threshold;
const shownMarks = () => view.marks.filter(isShown);
const looks = () => ({ classes: about.classes, colours, assumed });

// --- what comes -----------------------------------------------------------------------------------------------------

wire.addEventListener('about', ({ detail }) => {
  const isFirst = !about, isOther = !isFirst && about.session !== detail.session;
  about = detail;
  state.began(isOther);
  say($('source'), about.source);
  if (isFirst) {
    colours = about.classes.map(c => css(c.colour));
    view.colours = [...about.classes.map(c => c.colour), [255, 200, 120]];
    history = new History(about.fps);
    listening = new Listening(about.rate, +$('gain').value);
    listening.onend = tellListening;
    $('threshold').value = about.threshold;
    $('threshold').oninput();
    makeBoxes(about.classes, colours, hidden, refresh); makeLevels();
  } else if (isOther) { history.clear(); goTo(null); }
});

wire.addEventListener('past', ({ detail }) => {
  history.fill(detail);
  if (at === null) show(history.frames.at(-1));
  drawSideSoon();
});
wire.addEventListener('open', () => state.opened());
wire.addEventListener('closed', ({ detail }) => state.closed(detail));
wire.addEventListener('ended', ({ detail }) => { state.ended(detail); listening?.stop(); });
state.addEventListener('change', drawSideSoon);
wire.addEventListener('lost', ({ detail }) => { $('lost').textContent = detail; });

wire.addEventListener('frame', ({ detail }) => {
  const size = about.heat[0] * about.heat[1], { content } = detail;
  const frame = { ...detail, heat: content.slice(0, size), spectrum: content.slice(size), content: null };
  history.add(frame);
  state.came(frame);
  if (at === null) frame.pictured ? hold(frame) : show(frame, true);
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
  if (frame && at === null) show(frame, true);
}

let arriving = null;  // the latest frame that has not been drawn yet
function show(frame, isNew = false) {
  if (arriving) time(arriving);
  arriving = isNew ? frame : null;
  shownFrame = frame;
  assumed = frame.elevation_assumed ?? assumed;
  view.shown = Array.from({ length: 14 }, (_, c) => !hidden.has(c));
  view.least = threshold;
  view.set(frame.heat ?? new Uint8Array(about.heat[0] * about.heat[1]), about.heat, frame.marks, isNew && !isLate && !stillness.matches);
  if (!frame.pictured) showPicture(null);
}

const refresh = () => { if (shownFrame) { show(shownFrame); drawSide(); } };

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
  $('told').textContent = fresh.map(mark => `${about.classes[mark.class].name}, ${told(mark, assumed)}`).join('. ');
}

// --- what is shown --------------------------------------------------------------------------------------------------

function drawOver() {
  drawGrid($('grid'), view);
  say($('facing'), view.flat && view.zoom === 1 ? '' : `view: ${told({ azimuth: view.yaw, elevation: view.pitch })}`);
  if (!about) return;
  const marks = shownMarks(), frames = history.frames, index = frames.indexOf(shownFrame);
  drawTracks($('tracks'), view, index < 0 ? [] : frames.slice(Math.max(index - 40, 0), index + 1), marks, colours, view.canvas.clientWidth, INSET);
  drawLabels($('labels'), view, marks, about.classes, colours, assumed);
}

function drawSide() {
  if (!shownFrame) return;
  const events = history.events(isShown);
  drawNow(shownFrame.marks.filter(isShown), events, about.fps, { ...looks(), onlisten: listenToNumber });
  drawBefore(events, shownFrame.frame, about.fps, looks());
  if (shownFrame.levels) {
    drawLevels(shownFrame.levels);
    if ($('spectrum').clientHeight) drawSpectrum($('spectrum'), shownFrame.spectrum, about.bands, about.floor);
    say($('dropped'), String(shownFrame.dropped));
    say($('skipped'), String(shownFrame.skipped));
    say($('pictures'), shownFrame.pictured ? 'yes' : 'none');
  }
  if (latencies.length) {
    const sorted = latencies.toSorted((a, b) => a - b), share = p => Math.round(1000 * sorted[Math.floor(p * (sorted.length - 1))]);
    say($('latency'), `${share(0.5)} ms, 99 % ≤ ${share(0.99)} ms`);
  }
  drawTime(events);
}

function drawTime(events) {
  const { frames } = history, span = spanOf(frames, about.fps), scrub = $('scrub'), last = frames.at(-1).frame;
  drawTimeLine($('lanes'), span, about.fps, events, colours, about.classes, shownFrame.frame);
  scrub.min = span.from; scrub.max = last; scrub.value = shownFrame.frame;
  const ago = (last - shownFrame.frame) / about.fps, isOver = state.name === 'gone' || state.name === 'ended';
  const text = at === null ? isOver ? 'last frame' : 'live' : `${ago.toFixed(1)} s ago`;
  say($('moment'), text);
  say($('sounds-of'), at !== null ? `Sounds at ${clock(at / about.fps)}` : isOver ? 'Last sounds' : 'Sounds now');
  say($('clock'), clock(shownFrame.frame / about.fps));
  scrub.setAttribute('aria-valuetext', text);
}

let drawingSide = null;
function drawSideSoon() {
  drawingSide ??= setTimeout(() => { drawingSide = null; drawSide(); }, SIDE_MS);
}

function time(frame) {
  if (wire.now > 0) { timed++; latencies = [...latencies.slice(-LATENCIES + 1), wire.now - frame.captured]; }
  arriving = null;
}

// Drawn is what changed, once for a frame of the screen at most, and not again before it is done.
let drawing = false, isLate = false;
function redraw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(async () => {
    const began = performance.now();
    view.draw();
    drawOver();
    await view.done();
    drawn++;
    const took = performance.now() - began;
    isLate = took > FRAME_MS;  // then nothing glides: what is drawn is a frame as it was
    if (arriving && view.settled) time(arriving);
    drawing = false;
    if (!view.dirty) return;
    if (view.settled || took < SLOW_MS) redraw(); else setTimeout(redraw, took);
  });
}

// --- what one does --------------------------------------------------------------------------------------------------

function goTo(frameNumber) {
  at = frameNumber;
  $('live').setAttribute('aria-pressed', at === null);
  document.body.dataset.paused = at !== null;
  const frames = history?.frames ?? [];
  if (!frames.length) return;
  const frame = at === null ? frames.at(-1) : history.at(at);
  show(frame);
  const picture = history.picture(frame.frame);
  if (frame.pictured || frame.heat === null && picture) showPicture(picture);
  drawSide();
}

const step = seconds => shownFrame && goTo(Math.min(shownFrame.frame + seconds * about.fps, history.frames.at(-1).frame));
const pause = () => goTo(at === null && shownFrame ? shownFrame.frame : null);

function listenTo(direction) {
  if (!direction || !listening) return;
  listening.to({ azimuth: direction.azimuth, elevation: direction.elevation });
  tellListening();
}

function listenToNumber(number) {
  const mark = shownFrame?.marks.find(one => one.number === number);
  if (!mark) return;
  if (!view.flat) view.turn(mark.azimuth, mark.elevation);
  listenTo(mark);
}

function tellListening() {
  const to = listening.direction;
  $('listening').textContent = to ? `Listening: ${told(to)}` : '';
  $('listen').textContent = to ? 'Stop listening' : 'Listen';
  aim(false);
}

const isAiming = () => document.body.classList.contains('aiming');

function aim(on) {
  document.body.classList.toggle('aiming', on);
  $('listen').setAttribute('aria-pressed', on || Boolean(listening?.direction));
  if (on) $('listening').textContent = 'Click where you want to listen';
}

function setFlat(flat) {
  view.flat = flat;
  $('round').setAttribute('aria-pressed', !flat);
  view.turn(flat ? 0 : view.yaw, flat ? 0 : view.pitch, 1);
}

const ACTIONS = {
  ArrowLeft: () => view.turn(view.yaw + TURN, view.pitch), ArrowRight: () => view.turn(view.yaw - TURN, view.pitch),
  ArrowUp: () => view.turn(view.yaw, view.pitch + TURN), ArrowDown: () => view.turn(view.yaw, view.pitch - TURN),
  '+': () => view.turn(view.yaw, view.pitch, view.zoom * ZOOM), '=': () => ACTIONS['+'](),
  '-': () => view.turn(view.yaw, view.pitch, view.zoom / ZOOM),
  f: () => setFlat(!view.flat), 0: () => view.turn(0, 0, 1), Home: () => view.turn(0, 0, 1),
  l: () => listenTo({ azimuth: view.yaw, elevation: view.pitch }), Escape: () => { listening?.stop(); aim(false); },
  ' ': pause, '[': () => step(-1), ']': () => step(1), End: () => goTo(null), '?': () => $('keys').showModal(),
};
for (let i = 1; i <= 9; i++) ACTIONS[i] = () => listenToNumber(shownFrame?.marks.filter(isShown)[i - 1]?.number);

$('round').onclick = ACTIONS.f;
$('front').onclick = ACTIONS[0];
$('nearer').onclick = ACTIONS['+'];
$('farther').onclick = ACTIONS['-'];
$('help').onclick = ACTIONS['?'];
$('listen').onclick = () => listening?.direction ? listening.stop() : aim(!isAiming());
$('gain').oninput = () => {
  $('gain').setAttribute('aria-valuetext', `${$('gain').value} decibels`);
  if (listening) listening.decibels = +$('gain').value;
};
$('live').onclick = pause;
$('scrub').oninput = () => goTo(+$('scrub').value);
$('lanes').onpointerdown = $('lanes').onpointermove = event => {
  if (!history?.frames.length || !event.buttons) return;
  goTo(Math.max(frameAt($('lanes'), event.offsetX, spanOf(history.frames, about.fps)), history.frames[0].frame));
};
$('threshold').oninput = () => {
  threshold = +$('threshold').value;
  $('least').textContent = threshold.toFixed(2);
  refresh();
};

try {
  view = new View($('view'));
  handlePointer(view, isAiming, listenTo);
  handleKeys(ACTIONS);
  $('threshold').oninput();
  view.onchange = redraw;
  new ResizeObserver(() => { view.fit(); drawSide(); }).observe(view.canvas);
  new ResizeObserver(() => drawSide()).observe($('lanes'));
  wire.connect();
} catch (error) {
  $('state').textContent = error.message;
}

// For who measures: what has been drawn, how late, and what was heard.
window.saiseld = {
  get drawn() { return drawn; }, get timed() { return timed; }, get latencies() { return latencies; }, get frame() { return shownFrame?.frame; },
  get listening() { return listening; }, get view() { return view; },
};
