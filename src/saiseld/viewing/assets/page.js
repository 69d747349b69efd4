'use strict';
const $ = id => document.getElementById(id);
const data = JSON.parse($('data').textContent);
const { seconds, fps, classes, events, truth } = data, length = Math.max(seconds, 0.1);
const video = document.querySelector('video'), lanes = document.querySelector('.lanes'), canvas = $('lanes');
const marks = document.querySelector('.marks'), picture = document.querySelector('.picture');
const narrow = matchMedia('(max-width: 40rem)');
const MOST_BARS = 200;      // more in sight are a picket fence: their density is drawn instead
const ROWS_AT_A_TIME = 300;
let from = 0, span = length, time = 0, picked = -1;

function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}
function clock(t, digits = 1) {
  const unit = 10 ** digits, ticks = Math.round(t * unit), whole = Math.floor(ticks / unit);
  const h = Math.floor(whole / 3600), m = Math.floor(whole / 60) % 60, s = whole % 60;
  const two = n => String(n).padStart(2, '0');
  return (h ? `${h}:${two(m)}` : m) + ':' + two(s) + (digits ? '.' + (ticks % unit) : '');
}
function side(azimuth) {
  const a = Math.round(azimuth);
  return a === 0 ? 'front' : Math.abs(a) === 180 ? 'back' : `${Math.abs(a)}° ${a > 0 ? 'left' : 'right'}`;
}
function height(elevation) {
  const e = Math.round(elevation);
  return e === 0 ? 'level' : `${Math.abs(e)}° ${e > 0 ? 'up' : 'down'}`;
}
const up = (event, elevation) => event.q ? `(${height(elevation)})` : height(elevation);   // assumed, not measured
const name = event => classes[event.c][0], colour = event => classes[event.c][1];
const metres = event => event.d === null ? '–' : `${(event.d / 100).toFixed(1)} m`;
const score = value => value === null ? '–' : (value / 100).toFixed(2);

// An event's mask at a time: [score, azimuth, elevation], null between two masks and outside.
function maskAt(event, t) {
  const k = Math.floor(t * fps + 1e-3) - event.f;
  if (k < 0 || k >= event.m.length || event.m[k] === null) return null;
  return [event.m[k], event.az[k], event.el[k]];
}
const during = (event, t) => event.s <= t + 1e-6 && t < event.e - 1e-6;

function seek(t, event = -1) {
  t = Math.min(Math.max(t, 0), length);
  if (video) video.currentTime = t + (video.paused ? 1e-3 : 0);
  time = t;
  if (event >= 0) pick(event);
  show(t);
  bringIntoSight(t);
  tick(true);
}
function pick(event) {
  picked = event;
  const row = rowOf(event);
  for (const other of document.querySelectorAll('tr.picked')) other.classList.remove('picked');
  row.classList.add('picked');
  scrollTo(row);
  draw();
}
function scrollTo(row) {
  const box = $('scroll');
  if (box.scrollHeight > box.clientHeight + 2 && getComputedStyle(box).overflowY !== 'visible') {
    const r = row.getBoundingClientRect(), b = box.getBoundingClientRect();
    if (r.top < b.top + 32 || r.bottom > b.bottom) box.scrollTop += r.top - b.top - b.height / 3;
  } else {
    document.documentElement.style.setProperty('--covered', `${document.querySelector('.view').offsetHeight + 8}px`);
    row.scrollIntoView({ block: 'nearest' });
  }
}

// The table. Rows are made as they come into sight: a day has more than a page can hold at once.
const rows = [], body = document.querySelector('tbody');
function rowOf(index) {
  while (rows.length <= index) makeRows();
  return rows[index];
}
function makeRows() {
  for (const event of events.slice(rows.length, rows.length + ROWS_AT_A_TIME)) {
    const index = rows.length, go = make('button', { textContent: clock(event.s), title: 'Go there' });
    const dot = make('span', { className: 'dot' });
    dot.style.background = colour(event);
    const cell = (text, className = '') => make('td', { className }, text);
    const row = make('tr', {}, cell(go), cell(clock(event.e), 'wide'), cell(dot, 'left sound'), cell(side(event.a)), cell(up(event, event.l)),
      cell(metres(event), 'wide'), cell('–'), cell(score(event.mean)));
    row.children[2].append(name(event));
    row.addEventListener('click', () => seek(event.s, index));
    rows.push(row);
    body.append(row);
  }
}
if (events.length) {
  makeRows();
  new IntersectionObserver(seen => {
    if (seen.some(one => one.isIntersecting) && rows.length < events.length) makeRows();
  }, { rootMargin: '600px' }).observe($('end'));
}

// The time line: a row a class, bars or, of many, their density.
const shownClasses = [...new Set([...events, ...truth].map(e => e.c))].sort((a, b) => a - b);
function inLanes(list) {
  const lanesOf = new Map();
  for (const event of list) {
    const ends = lanesOf.get(event.c) ?? lanesOf.set(event.c, []).get(event.c);
    let lane = ends.findIndex(end => end <= event.s + 1e-6);
    if (lane < 0) lane = ends.length < 3 ? ends.push(0) - 1 : 2;
    ends[lane] = event.e;
    event.lane = lane;
  }
  return lanesOf;
}
const ownLanes = inLanes(events), trueLanes = inLanes(truth);
const gutter = () => narrow.matches ? 92 : 138, AXIS = 22;
const x = t => gutter() + (t - from) / span * (lanes.clientWidth - gutter() - 8);
const timeAt = px => from + (px - gutter()) / (lanes.clientWidth - gutter() - 8) * span;
const rowHeight = () => Math.min((lanes.clientHeight - AXIS) / Math.max(shownClasses.length, 1), 34);
const ink = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function step() {
  const least = span / Math.max((lanes.clientWidth - gutter()) / 70, 1);
  return [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400].find(s => s >= least) ?? 28800;
}
function draw() {
  const w = lanes.clientWidth, h = lanes.clientHeight, ratio = devicePixelRatio || 1;
  canvas.width = w * ratio; canvas.height = h * ratio;
  const c = canvas.getContext('2d');
  c.scale(ratio, ratio);
  c.font = `${narrow.matches ? 11 : 12.5}px system-ui, sans-serif`;
  c.textBaseline = 'middle';
  const every = step(), high = rowHeight(), right = w - 8;
  c.strokeStyle = ink('--line'); c.fillStyle = ink('--faint'); c.textAlign = 'center';
  for (let k = Math.ceil(from / every - 1e-9); k * every <= from + span + 1e-9; k++) {
    const px = x(k * every);
    c.beginPath(); c.moveTo(px, AXIS - 4); c.lineTo(px, AXIS + high * shownClasses.length); c.stroke();
    c.fillText(clock(k * every, every < 1 ? 1 : 0), Math.min(Math.max(px, gutter()), right - 14), AXIS / 2 - 1);
  }
  const visible = events.filter(e => e.e > from && e.s < from + span), dense = visible.length > MOST_BARS;
  shownClasses.forEach((id, row) => {
    const top = AXIS + row * high;
    c.fillStyle = classes[id][1]; c.fillRect(2, top + high / 2 - 5, 10, 10);
    c.fillStyle = ink('--ink'); c.textAlign = 'left';
    c.fillText(narrow.matches ? classes[id][0].split(',')[0] : classes[id][0], 17, top + high / 2, gutter() - 20);
    c.beginPath(); c.moveTo(0, top + high); c.lineTo(right, top + high); c.stroke();
  });
  c.save(); c.beginPath(); c.rect(gutter() - 1, AXIS, right - gutter() + 2, h - AXIS); c.clip();
  const part = truth.length ? 0.5 : 1;
  dense ? density(c, visible, high * part, high) : visible.forEach(e => bar(c, e, ownLanes, 0, high * part, high, e === events[picked]));
  for (const e of truth) if (e.e > from && e.s < from + span) bar(c, e, trueLanes, high / 2, high / 2, high, false, true);
  c.restore();
  const whole = span >= length - 1e-6;
  $('range').textContent = (whole ? clock(length, 0) : `${clock(from, span < 20 ? 1 : 0)} – ${clock(from + span, span < 20 ? 1 : 0)} of ${clock(length, 0)}`)
    + (dense ? ` · density of ${visible.length} events${narrow.matches ? '' : '; zoom in for single ones'}` : '');
  cursor();
}
function bar(c, event, lanesOf, offset, high, row, isPicked, hollow) {
  const many = lanesOf.get(event.c).length, each = (high - 3) / many;
  const left = x(event.s), wide = Math.max(x(event.e) - left, 3);
  const top = AXIS + shownClasses.indexOf(event.c) * row + offset + 1.5 + event.lane * each;
  c.fillStyle = colour(event); c.strokeStyle = hollow ? colour(event) : ink('--ink');
  if (hollow) { c.lineWidth = 2; c.setLineDash([5, 3]); c.strokeRect(left + 1, top + 1, Math.max(wide - 2, 1), each - 2.5); c.setLineDash([]); }
  else { c.lineWidth = isPicked ? 2.5 : 0.5; c.fillRect(left, top, wide, each - 1); c.strokeRect(left, top, wide, each - 1); }
  c.lineWidth = 1;
}
function density(c, visible, high, row) {
  const first = gutter(), bin = 3, bins = Math.ceil((lanes.clientWidth - 8 - first) / bin), each = span / bins;
  shownClasses.forEach((id, place) => {
    const share = new Float32Array(bins);
    for (const e of visible) if (e.c === id)
      for (let k = Math.max(Math.floor((e.s - from) / each), 0); k < bins && from + k * each < e.e; k++)
        share[k] += Math.max(Math.min(e.e, from + (k + 1) * each) - Math.max(e.s, from + k * each), 0) / each;
    c.fillStyle = classes[id][1];
    share.forEach((s, k) => {
      const tall = Math.min(s, 1) * (high - 3);
      if (tall > 0) c.fillRect(first + k * bin, AXIS + place * row + high - 1 - Math.max(tall, 1), bin, Math.max(tall, 1));
    });
  });
}
function cursor() {
  const px = x(time), line = document.querySelector('.now');
  line.style.left = `${px - 1}px`;
  line.style.height = `${AXIS + rowHeight() * shownClasses.length}px`;
  line.hidden = px < gutter() - 1 || px > lanes.clientWidth - 6;
}
function zoom(factor, at = time >= from && time <= from + span ? time : from + span / 2) {
  const wanted = Math.min(Math.max(span * factor, 1), length), share = (at - from) / span;
  from = at - share * wanted; span = wanted;
  pan(0);
}
function pan(by) {
  from = Math.min(Math.max(from + by, 0), length - span);
  draw();
}
function bringIntoSight(t) {
  if (t < from || t > from + span) { from = t - span / 5; pan(0); }
}
function eventAt(px, py) {
  const row = Math.floor((py - AXIS) / rowHeight()), t = timeAt(px), slack = 3 * span / lanes.clientWidth;
  let best = -1;
  events.forEach((e, k) => {
    if (e.c === shownClasses[row] && e.s - slack <= t && t <= e.e + slack && (best < 0 || e.e - e.s < events[best].e - events[best].s)) best = k;
  });
  return best;
}
const fingers = new Map();
let moved = 0, pinch = 0;
lanes.addEventListener('pointerdown', e => {
  fingers.set(e.pointerId, e.offsetX); moved = 0;
  lanes.setPointerCapture(e.pointerId);
  if (fingers.size === 2) pinch = Math.abs([...fingers.values()][0] - [...fingers.values()][1]);
});
lanes.addEventListener('pointermove', e => {
  if (!fingers.has(e.pointerId)) return;
  const by = e.offsetX - fingers.get(e.pointerId);
  fingers.set(e.pointerId, e.offsetX); moved += Math.abs(by);
  if (fingers.size === 2) {
    const [a, b] = [...fingers.values()], now = Math.abs(a - b);
    if (pinch > 10 && now > 10) zoom(pinch / now, timeAt((a + b) / 2));
    pinch = now;
  } else if (moved > 4) pan(-by / (lanes.clientWidth - gutter()) * span);
});
for (const kind of ['pointerup', 'pointercancel']) lanes.addEventListener(kind, e => {
  if (fingers.delete(e.pointerId) && kind === 'pointerup' && !fingers.size && moved <= 4 && e.offsetX >= gutter() - 4) {
    const t = timeAt(e.offsetX), found = eventAt(e.offsetX, e.offsetY);
    seek(t, found);
  }
});
lanes.addEventListener('wheel', e => {
  e.preventDefault();
  if (e.shiftKey || Math.abs(e.deltaX) > Math.abs(e.deltaY)) pan((e.deltaX || e.deltaY) / 800 * span);
  else zoom(Math.exp(e.deltaY / 400), timeAt(e.offsetX));
}, { passive: false });

// What sounds now: under the picture in words, and on it.
let before = '';
function show(t) {
  const now = [];
  events.forEach((event, index) => {
    const on = during(event, t), row = rows[index];
    if (row && row.classList.contains('on') !== on) {
      row.classList.toggle('on', on);
      if (!on) row.children[6].textContent = '–';
      else if (video && !video.paused) scrollTo(row);
    }
    if (!on) return;
    const mask = maskAt(event, t);
    if (row) row.children[6].textContent = mask ? score(mask[0]) : '–';
    now.push([event, mask, false]);
  });
  for (const event of truth) if (during(event, t)) now.push([event, maskAt(event, t), true]);
  const key = JSON.stringify([now.map(([e, m, isTrue]) => [e.n, m, isTrue]), narrow.matches]);
  if (key === before) return;
  before = key;
  const line = ([event, mask, isTrue]) => {
    const dot = make('span', { className: isTrue ? 'dot truth' : 'dot' });
    dot.style.background = dot.style.borderColor = colour(event);
    const where = `${side(mask ? mask[1] : event.a)}, ${up(event, mask ? mask[2] : event.l)}`;
    const scores = isTrue ? '' : ` · now ${mask ? score(mask[0]) : '–'}, mean ${score(event.mean)}`;
    return make('li', {}, dot, make('b', { textContent: name(event) }), where + scores);
  };
  for (const isTrue of truth.length ? [false, true] : [false]) {
    const lines = now.filter(one => one[2] === isTrue).map(line);
    $(isTrue ? 'true' : 'now').replaceChildren(...(lines.length ? lines : [make('li', { textContent: 'nothing' })]));
  }
  const named = now.filter(([, , isTrue]) => isTrue || narrow.matches || !video), places = [], width = picture.clientWidth;
  marks.replaceChildren(...named.flatMap(([event, mask, isTrue]) => {
    const [left, top] = place(mask ? mask[1] : event.a, mask ? mask[2] : event.l), high = 20 / picture.clientHeight;
    let y = isTrue ? top + high + 8 / picture.clientHeight : top;
    while (places.some(([px, py]) => Math.abs(px - left) < 130 / width && Math.abs(py - y) < high)) y += high;
    places.push([left, y]);
    const mark = make('span', { className: 'mark', textContent: (isTrue ? 'truth: ' : '') + name(event) });
    const half = Math.min(4 * mark.textContent.length / width, 0.45), inside = Math.min(Math.max(left, half), 1 - half);
    Object.assign(mark.style, { left: `${100 * inside}%`, top: `${100 * Math.min(y, 1 - high)}%`, borderColor: colour(event) });
    if (!isTrue) return [mark];
    const ring = make('span', { className: 'ring' });
    Object.assign(ring.style, { left: `${100 * left}%`, top: `${100 * top}%`, borderColor: colour(event) });
    return [ring, mark];
  }));
}

// The picture: the overlay video without its legend and title, which the page has already.
const full = { x: 0, y: 0, w: 1, h: 1 };
function crop() {
  const p = data.panorama;
  if (!p) return full;
  return narrow.matches ? { x: p.x, y: p.y, w: p.w, h: p.h } : { x: 0, y: p.y, w: Math.min(p.x + p.w + 0.006, 1), h: 1 - p.y };
}
function place(azimuth, elevation) {
  const u = (180 - azimuth) % 360 / 360, v = (90 - elevation) / 180, c = crop(), p = data.panorama ?? full;
  return [(p.x + u * p.w - c.x) / c.w, (p.y + v * p.h - c.y) / c.h];
}
function fit() {
  if (narrow.matches) lanes.style.height = `${AXIS + shownClasses.length * (truth.length ? 24 : 16)}px`;
  else lanes.style.height = '';
  const c = crop(), ratio = video ? data.panorama.ratio * c.w / c.h : 2, free = document.querySelector('.view').clientWidth;
  const wide = Math.min(free, innerHeight * (narrow.matches ? 0.4 : 0.55) * ratio);
  picture.style.width = `${wide}px`; picture.style.height = `${wide / ratio}px`;
  if (video) Object.assign(video.style, { width: `${100 / c.w}%`, left: `${-100 * c.x / c.w}%`, top: `${-100 * c.y / c.h}%` });
  else map(wide, wide / 2);
  before = '';
  show(time);
  draw();
}
function map(w, h) {
  const own = picture.querySelector('canvas'), ratio = devicePixelRatio || 1, c = own.getContext('2d');
  own.width = w * ratio; own.height = h * ratio;
  c.scale(ratio, ratio);
  c.strokeStyle = '#4a505c'; c.fillStyle = '#c6ccd6'; c.font = '12px system-ui, sans-serif'; c.textAlign = 'center';
  for (let a = -150; a <= 150; a += 30) {
    const px = (180 - a) / 360 * w;
    c.beginPath(); c.moveTo(px, 0); c.lineTo(px, h); c.stroke();
    if (a % 90 === 0 || w > 600) c.fillText(side(a), px, h - 6);
  }
  for (let e = -60; e <= 60; e += 30) {
    const py = (90 - e) / 180 * h;
    c.beginPath(); c.moveTo(0, py); c.lineTo(w, py); c.stroke();
    if (e % 60 === 0 || w > 600) c.fillText(height(e), 30, py - 3);
  }
}

function tick(once) {
  if (video && !once) time = video.currentTime;
  if (video && !video.paused) bringIntoSight(time);
  show(time);
  cursor();
  $('clock').textContent = `${clock(time)} / ${clock(length, 0)}`;
  canvas.setAttribute('aria-valuenow', time.toFixed(1));
  canvas.setAttribute('aria-valuetext', clock(time));
  if (!once && video && !video.paused) requestAnimationFrame(() => tick());
}
function toggle() { if (video.paused) video.play().catch(() => {}); else video.pause(); }
if (video) {
  video.addEventListener('play', () => { $('play').textContent = 'Pause'; tick(); });
  video.addEventListener('pause', () => { $('play').textContent = 'Play'; tick(); });
  video.addEventListener('seeked', () => tick());
  video.addEventListener('click', toggle);
  $('play').addEventListener('click', toggle);
  $('loud').addEventListener('input', () => { video.volume = +$('loud').value; });
  $('large').addEventListener('click', () => video.requestFullscreen?.().catch(() => {}));
}
$('in').addEventListener('click', () => zoom(0.5));
$('out').addEventListener('click', () => zoom(2));
$('all').addEventListener('click', () => { from = 0; span = length; draw(); });
addEventListener('keydown', e => {
  if (e.ctrlKey || e.metaKey || e.altKey || e.target.matches('input, select, summary')) return;
  const by = e.shiftKey ? 10 : 1, onButton = e.target.matches('button');
  const keys = {
    ' ': () => video && !onButton && toggle(), ArrowRight: () => seek(time + by), ArrowLeft: () => seek(time - by),
    Home: () => seek(0), End: () => seek(length), '+': () => zoom(0.5), '=': () => zoom(0.5), '-': () => zoom(2),
    '0': () => $('all').click(), ',': () => pan(-span / 4), '.': () => pan(span / 4),
  };
  if (!keys[e.key] || e.key === ' ' && onButton) return;
  e.preventDefault();
  keys[e.key]();
});
new ResizeObserver(fit).observe(lanes);
addEventListener('resize', fit);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
if (location.pathname.endsWith('/index.html')) $('back')?.remove();
time = data.start;
fit();
tick(true);
