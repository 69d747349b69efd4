'use strict';
const $ = id => document.getElementById(id);
const { classes, segments } = JSON.parse($('data').textContent);
const KEY = `saiseld segments ${location.pathname}`, AT_A_TIME = 100, body = document.querySelector('tbody');
// Decisions by file: a class, or -1 for no sound of any class. The file's name says its event and time.
let decisions = {};
try { decisions = JSON.parse(localStorage.getItem(KEY)) ?? {}; } catch { decisions = {}; }
const rows = [];
let chosen = 0;

function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}
function decide(index, to) {
  if (to === null) delete decisions[segments[index].file];
  else decisions[segments[index].file] = to;
  try { localStorage.setItem(KEY, JSON.stringify(decisions)); } catch { /* kept until the page is closed */ }
  show(index);
}
function show(index) {
  const segment = segments[index], to = decisions[segment.file], row = rows[index];
  const state = to === undefined ? '' : to < 0 ? 'none' : to === segment.class ? 'right' : 'corrected';
  row.className = `${state} ${index === chosen ? 'chosen' : ''}`;
  row.querySelector('select').value = String(to ?? segment.class);
  row.querySelector('output').textContent = { '': '', none: 'no sound', right: 'confirmed', corrected: 'corrected' }[state];
  const done = segments.filter(s => s.file in decisions).length;
  $('count').textContent = `${done} of ${segments.length} looked at`;
}
function choose(index) {
  const before = chosen;
  chosen = Math.min(Math.max(index, 0), segments.length - 1);
  while (rows.length <= chosen) more();
  show(before); show(chosen);
  rows[chosen].scrollIntoView({ block: 'nearest' });
}
function row(segment, index) {
  const side = segment.azimuth === 0 ? 'front' : `${Math.abs(segment.azimuth)}° ${segment.azimuth > 0 ? 'left' : 'right'}`;
  const label = `${segment.recording}, ${segment.from}`;
  const audio = make('audio', { controls: true, preload: 'none', src: segment.file, ariaLabel: `Sound of ${label}` });
  const select = make('select', { ariaLabel: `Class of ${label}` },
    ...classes.map(([name], id) => make('option', { value: String(id), textContent: name })), make('option', { value: '-1', textContent: 'no sound of any class' }));
  select.addEventListener('change', () => decide(index, +select.value));
  audio.addEventListener('play', () => {
    for (const other of document.querySelectorAll('audio')) if (other !== audio) other.pause();
    choose(index);
  });
  const dot = make('span', { className: 'dot' });
  dot.style.background = classes[segment.class][1];
  const button = (text, act) => { const made = make('button', { textContent: text }); made.addEventListener('click', act); return made; };
  const cell = (className, ...inside) => make('td', { className }, ...inside);
  return make('tr', {}, cell('left', segment.recording), cell('', segment.from), cell('', `${segment.seconds.toFixed(1)} s`), cell('', side),
    cell('', segment.score.toFixed(2)), cell('left', audio), cell('left', dot, select),
    cell('left', button('Right', () => decide(index, segment.class)), button('No sound', () => decide(index, -1)),
      button('Undo', () => decide(index, null)), make('output', {})));
}
function more() {
  for (const segment of segments.slice(rows.length, rows.length + AT_A_TIME)) {
    const made = row(segment, rows.length);
    rows.push(made);
    body.append(made);
    show(rows.length - 1);
  }
}
// One DCASE CSV a recording: frame, class, source, azimuth, elevation, and distance in cm where every mask has one.
function labels(recording, withAll) {
  const lines = [], own = segments.filter(s => s.recording === recording);
  const kept = own.map(s => [s, decisions[s.file] ?? (withAll ? s.class : -1)]).filter(([, to]) => to >= 0);
  const hasDistance = kept.every(([s]) => s.frames.every(f => f[3] >= 0));
  for (const [s, to] of kept) for (const [frame, azimuth, elevation, distance] of s.frames)
    lines.push([frame, to, s.number, azimuth, elevation, ...(hasDistance ? [distance] : [])]);
  return lines.sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]).map(line => line.join(',') + '\n').join('');
}
$('save').addEventListener('click', async () => {
  const withAll = $('all').checked;
  const names = [...new Set(segments.filter(s => withAll || s.file in decisions).map(s => s.recording))];
  for (const name of names) {
    const address = URL.createObjectURL(new Blob([labels(name, withAll)], { type: 'text/csv' }));
    make('a', { href: address, download: `${name}.csv` }).click();
    await new Promise(done => setTimeout(done, 150));    // browsers drop downloads that come at once
    URL.revokeObjectURL(address);
  }
  if (!names.length) $('count').textContent = 'Nothing to save: no segment was looked at';
});
addEventListener('keydown', e => {
  if (e.ctrlKey || e.metaKey || e.altKey || e.target.matches('select, input, button, summary')) return;
  const audio = rows[chosen]?.querySelector('audio');
  const keys = {
    ' ': () => audio.paused ? audio.play().catch(() => {}) : audio.pause(), ArrowDown: () => choose(chosen + 1), ArrowUp: () => choose(chosen - 1),
    Enter: () => { decide(chosen, segments[chosen].class); choose(chosen + 1); }, Delete: () => { decide(chosen, -1); choose(chosen + 1); },
  };
  if (!keys[e.key] || !audio) return;
  e.preventDefault();
  keys[e.key]();
});
if (segments.length) {
  more();
  new IntersectionObserver(seen => { if (seen.some(one => one.isIntersecting) && rows.length < segments.length) more(); }, { rootMargin: '800px' }).observe($('end'));
} else $('count').textContent = 'No sound events';
