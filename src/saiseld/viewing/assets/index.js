'use strict';
const $ = id => document.getElementById(id);
const recordings = JSON.parse($('data').textContent), AT_A_TIME = 100;
function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}
function clock(t) {
  const s = Math.round(t), two = n => String(n).padStart(2, '0');
  return (s >= 3600 ? `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}` : Math.floor(s / 60)) + ':' + two(s % 60);
}
for (const one of recordings) one.text = `${one.name} ${one.classes.map(c => c[0]).join(' ')} ${one.warnings ? 'warning' : ''}`.toLowerCase();
let found = recordings, made = 0;
function more() {
  const rows = found.slice(made, made + AT_A_TIME).map(one => {
    const chips = one.classes.map(([name, colour, count]) => {
      const dot = make('span', { className: 'dot' });
      dot.style.background = colour;
      return make('span', { className: 'chip' }, dot, `${name} ${count}`);
    });
    const warned = one.warnings ? `${one.warnings} warning${one.warnings > 1 ? 's' : ''}` : '';
    return make('tr', {}, make('td', { className: 'left' }, make('a', { href: one.page, textContent: one.name })),
      make('td', { textContent: clock(one.seconds) }), make('td', { textContent: one.events }),
      make('td', { className: 'left chips' }, ...(chips.length ? chips : ['nothing credible'])), make('td', { className: 'warned left', textContent: warned }));
  });
  document.querySelector('tbody').append(...rows);
  made += rows.length;
}
const orders = {
  name: (a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }), events: (a, b) => b.events - a.events,
  length: (a, b) => b.seconds - a.seconds, warnings: (a, b) => b.warnings - a.warnings,
};
function list() {
  const words = $('search').value.toLowerCase().split(/\s+/).filter(Boolean);
  found = recordings.filter(one => words.every(word => one.text.includes(word))).sort(orders[$('order').value]);
  made = 0;
  document.querySelector('tbody').replaceChildren();
  more();
  $('count').textContent = `${found.length} of ${recordings.length} recordings`;
}
$('search').addEventListener('input', list);
$('order').addEventListener('change', list);
new IntersectionObserver(seen => { if (seen.some(one => one.isIntersecting) && made < found.length) more(); }, { rootMargin: '800px' }).observe($('end'));
list();
