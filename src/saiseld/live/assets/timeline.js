// The time line: time to the right, azimuth upwards as it is to the left, a line and a name for each event.
import { colourOf, sized } from './draw.js';
import { clock } from './sphere.js';

const SPANS_S = [10, 20, 30, 60, 120, 300], STEPS_S = [1, 2, 5, 10, 20, 60];
const TOP = 4, BOTTOM = 18, LEFT = 58, GAP = 6, NAME_PX = 13, TICK_PX = 40;

// What part of the session is shown: from its beginning as long as there is room, then the last minutes.
export function spanOf(frames, fps) {
  const first = frames[0].frame, last = frames.at(-1).frame, seconds = (last - first + 1) / fps;
  const span = SPANS_S.find(s => s >= seconds) ?? SPANS_S.at(-1);
  return { from: Math.max(first, last + 1 - span * fps), frames: span * fps, step: STEPS_S[SPANS_S.indexOf(span)] * fps };
}

// The frame at a place on the canvas.
export const frameAt = (canvas, x, span) => span.from + Math.floor((x - LEFT) / (canvas.clientWidth - LEFT) * span.frames);

export function drawTimeLine(canvas, span, fps, events, colours, classes, at) {
  const { context, w, h } = sized(canvas), high = h - TOP - BOTTOM;
  const x = frame => LEFT + (frame - span.from) * (w - LEFT) / span.frames, y = azimuth => TOP + high * (180 - azimuth) / 360;
  const faint = colourOf(canvas, '--faint'), ink = colourOf(canvas, '--ink'), panel = colourOf(canvas, '--panel');
  context.font = '11px system-ui'; context.textBaseline = 'middle';
  context.fillStyle = faint;
  for (const [azimuth, name] of [[180, 'behind'], [90, 'left'], [0, 'front'], [-90, 'right'], [-180, 'behind']]) {
    context.globalAlpha = azimuth ? .35 : .8;
    context.fillRect(LEFT, y(azimuth), w - LEFT, 1);
    context.globalAlpha = 1;
    context.textAlign = 'right';
    context.fillText(name, LEFT - 6, Math.min(Math.max(y(azimuth), 7), h - BOTTOM - 3));
  }
  context.textAlign = 'center';
  const step = span.step * Math.ceil(TICK_PX / (x(span.step) - x(0)));
  for (let frame = Math.ceil(span.from / step) * step; x(frame) <= w; frame += step) {
    context.globalAlpha = .35; context.fillRect(x(frame), TOP, 1, high); context.globalAlpha = 1;
    const text = clock(frame / fps), half = context.measureText(text).width / 2;
    context.fillText(text, Math.min(x(frame), w - half), h - BOTTOM / 2 + 1);
  }
  context.lineWidth = 4; context.lineCap = 'round'; context.lineJoin = 'round';
  for (const { class: of, marks } of events) {
    context.strokeStyle = colours[of];
    context.beginPath();
    let before = null;
    for (const mark of marks) {
      const goesOn = before && mark.frame - before.frame <= GAP && Math.abs(mark.azimuth - before.azimuth) < 180;
      if (!goesOn) context.moveTo(x(mark.frame), y(mark.azimuth));
      context.lineTo(x(mark.frame + 1), y(mark.azimuth));
      before = mark;
    }
    context.stroke();
  }
  nameEvents(context, events, x, y, w, h - BOTTOM, ink, panel, classes);
  context.fillStyle = '#e11d48';
  context.fillRect(x(at + 1) - 1, 0, 2, h - BOTTOM);
}

// The name of an event above its line, the longest first, where no other name is.
function nameEvents(context, events, x, y, w, bottom, ink, panel, classes) {
  const taken = [];
  context.textAlign = 'left'; context.lineWidth = 3; context.strokeStyle = panel; context.fillStyle = ink;
  for (const { class: of, marks } of events.toSorted((a, b) => b.marks.length - a.marks.length)) {
    const name = classes[of].name, wide = context.measureText(name).width;
    const left = Math.min(Math.max(x(marks[0].frame), LEFT), w - wide - 2), line = y(marks[0].azimuth);
    for (const middle of [line - 10, line + 11]) {
      const box = [left, middle - NAME_PX / 2, left + wide + 4, middle + NAME_PX / 2];
      if (box[1] < 0 || box[3] > bottom || taken.some(t => t[0] < box[2] && box[0] < t[2] && t[1] < box[3] && box[1] < t[3])) continue;
      taken.push(box);
      context.strokeText(name, left, middle); context.fillText(name, left, middle);
      break;
    }
  }
}
