// Names on the panorama: beside each sound, or beside the arrow to it at the edge; none over another.
import { told } from './sphere.js';

export const INSET = 18;
const ABOVE = 12, MARGIN = 2, say = (element, text) => element.textContent !== text && Boolean(element.textContent = text);

const meet = (a, b) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;

export function drawLabels(box, view, marks, classes, colours, assumed) {
  const wide = view.canvas.clientWidth, high = view.canvas.clientHeight, placed = [];
  while (box.children.length > marks.length) box.lastChild.remove();
  marks.forEach((mark, i) => {
    const label = box.children[i] ?? box.appendChild(labelOf());
    const away = mark.distance === null ? '' : `, ${mark.distance} m`;
    const isNew = say(label.firstChild, classes[mark.class].name) | say(label.lastChild, told(mark, assumed) + away);
    if (isNew || !label.size) label.size = { w: label.offsetWidth, h: label.offsetHeight };
    label.style.borderColor = colours[mark.class];
    const { w, h } = label.size, edge = view.edge(mark, INSET), at = edge ?? view.place(mark);
    const inside = (value, size, whole) => Math.min(Math.max(value, MARGIN), whole - size - MARGIN);
    // Beside an arrow towards the middle; above a sound, or below it where there is no room.
    const [x, y] = edge ? [at.x - w / 2 - Math.cos(edge.towards) * (w / 2 + INSET), at.y - h / 2 - Math.sin(edge.towards) * (h / 2 + INSET)]
      : [at.x - w / 2, at.y - ABOVE - h < MARGIN ? at.y + ABOVE : at.y - ABOVE - h];
    const own = { x: inside(x, w, wide), y: inside(y, h, high), w, h }, first = own.y;
    const down = edge ? edge.y < high / 2 : at.y < high / 2;
    for (let other; (other = placed.find(one => meet(one, own)));) {
      own.y = down ? other.y + other.h + MARGIN : other.y - h - MARGIN;
      if (own.y < 0 || own.y + h > high) { own.y = first; break; }
    }
    placed.push(own);
    label.style.transform = `translate(${own.x}px, ${own.y}px)`;
  });
}

function labelOf() {
  const label = document.createElement('span');
  label.append(document.createElement('b'), document.createElement('small'));
  return label;
}
