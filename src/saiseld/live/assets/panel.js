// What is beside the panorama: sounds now and before, filter, levels.
import { CHANNEL_COLOURS } from './draw.js';
import { clock, told } from './sphere.js';

const BEFORE = 6, ENDED_FRAMES = 6;
export const $ = id => document.getElementById(id);
// What is there already is not written again: the page would be laid out anew.
export const say = (element, text) => element.textContent !== text && Boolean(element.textContent = text);
const make = (name, properties) => Object.assign(document.createElement(name), properties);

function dotOf(colour) {
  const dot = make('i', { className: 'dot' });
  dot.style.background = colour;
  return dot;
}

// The sounds of the frame shown, and since when; rows stay while their sounds do, so that focus does.
export function drawNow(marks, events, fps, { classes, colours, assumed, onlisten }) {
  const list = $('marks'), key = marks.map(mark => mark.number).join();
  if (list.dataset.key !== key) {
    list.dataset.key = key;
    const focused = document.activeElement?.dataset?.number;
    list.replaceChildren(...marks.map(mark => rowOf(mark, classes, colours, onlisten)));
    if (!marks.length) list.append(make('li', { textContent: 'Nothing credible is heard.' }));
    list.querySelector(`button[data-number="${focused}"]`)?.focus();
  }
  marks.forEach((mark, i) => {
    const away = mark.distance === null ? '' : `, ${mark.distance} m`, [where, since] = list.children[i].querySelectorAll('small');
    const first = events.find(event => event.marks[0].number === mark.number)?.marks[0].frame;
    say(list.children[i].querySelector('b'), classes[mark.class].name);
    say(where, `${told(mark, assumed)}${away}`);
    say(since, `${first === undefined ? '' : `since ${clock(first / fps)}; `}score ${mark.score.toFixed(2)}`);
  });
}

function rowOf(mark, classes, colours, onlisten) {
  const item = make('li'), text = make('span'), button = make('button', { textContent: 'Listen' });
  text.append(make('b'), make('small'), make('small'));
  button.dataset.number = mark.number;
  button.setAttribute('aria-label', `Listen to ${classes[mark.class].name}`);
  button.onclick = () => onlisten(mark.number);
  item.append(dotOf(colours[mark.class]), text, button);
  return item;
}

// The last events that are over at the frame shown, the latest first.
export function drawBefore(events, at, fps, { classes, colours, assumed }) {
  const over = events.map(({ class: of, marks }) => ({ of, first: marks[0], last: marks.findLast(mark => mark.frame <= at) }))
    .filter(({ last }) => last && at - last.frame >= ENDED_FRAMES).sort((a, b) => b.last.frame - a.last.frame).slice(0, BEFORE);
  const key = over.map(({ last }) => `${last.number}:${last.frame}`).join(), list = $('past');
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(...over.map(({ of, first, last }) => {
    const item = make('li'), text = make('span', { textContent: classes[of].name });
    text.append(make('small', { textContent: told(last, assumed) }));
    item.append(dotOf(colours[of]), text, make('time', { textContent: `${clock(first.frame / fps)} – ${clock((last.frame + 1) / fps)}` }));
    return item;
  }));
  if (!over.length) list.append(make('li', { textContent: 'Nothing yet.' }));
}

// A box for each class; `hidden` holds those that are not to be shown.
export function makeBoxes(classes, colours, hidden, onchange) {
  $('boxes').replaceChildren(...classes.map(({ name }, c) => {
    const label = make('label'), box = make('input', { type: 'checkbox', checked: true });
    box.onchange = () => { box.checked ? hidden.delete(c) : hidden.add(c); onchange(); };
    label.append(box, dotOf(colours[c]), name);
    return label;
  }));
  for (const [id, checked] of [['all', true], ['none', false]])
    $(id).onclick = () => $('boxes').querySelectorAll('input').forEach(box => { box.checked = checked; box.onchange(); });
}

export function makeLevels() {
  $('levels').replaceChildren(...CHANNEL_COLOURS.map((colour, i) => {
    const line = make('div', { className: 'level' });
    const name = make('label', { htmlFor: `level${i}`, textContent: i + 1 });
    name.style.boxShadow = `inset 0 -3px ${colour}`;
    const meter = make('meter', { id: `level${i}`, min: -100, low: -80, high: -6, max: 0, value: -100 });
    meter.setAttribute('aria-label', `Level of channel ${i + 1}`);
    line.append(name, meter, make('output', { id: `level${i}-text` }));
    return line;
  }));
}

export function drawLevels(levels) {
  levels.forEach((level, i) => {
    $(`level${i}`).value = level;
    say($(`level${i}-text`), `${level.toFixed(0)} dB`);
  });
}
