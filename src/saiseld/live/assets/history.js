// The last minutes: all frames, and as many of their pictures as memory is set aside for.
const SECONDS = 300, PICTURE_BYTES = 96 << 20, PICTURE_EVERY = 10;

export class History {
  frames = []; #pictures = []; #bytes = 0;

  constructor(fps) { this.most = SECONDS * fps; }

  add(frame) {
    const known = this.frames.length && frame.frame <= this.frames.at(-1).frame ? this.frames.findIndex(one => one.frame >= frame.frame) : -1;
    if (known >= 0) { this.frames[known] = frame; return; }  // it came with the past already, without its heat
    this.frames.push(frame);
    if (this.frames.length > this.most) this.frames.shift();
  }

  // Put in the marks of frames that were shown while this browser was not there.
  fill({ first, marks }) {
    const known = new Map(this.frames.map(frame => [frame.frame, frame]));
    marks.forEach((of, i) => known.has(first + i) || known.set(first + i, { frame: first + i, marks: of, heat: null }));
    this.frames = [...known.values()].sort((a, b) => a.frame - b.frame).slice(-this.most);
  }

  clear() { this.frames = []; this.#pictures = []; this.#bytes = 0; }

  // The frame of a number, or that before it; the first if there is none.
  at(number) { return this.frames.findLast(frame => frame.frame <= number) ?? this.frames[0]; }

  // Events in the order of their beginning, each with its marks that are to be shown, by frame.
  events(isShown) {
    const events = new Map();
    for (const { frame, marks } of this.frames)
      for (const mark of marks) {
        if (!isShown(mark)) continue;
        const event = events.get(mark.number);
        if (event) event.marks.push({ frame, ...mark }); else events.set(mark.number, { class: mark.class, marks: [{ frame, ...mark }] });
      }
    return [...events.values()];
  }

  addPicture(number, blob) {
    if (this.#pictures.length && number < this.#pictures.at(-1).number + PICTURE_EVERY) return;
    this.#pictures.push({ number, blob });
    this.#bytes += blob.size;
    while (this.#bytes > PICTURE_BYTES || this.#pictures[0].number < this.frames[0]?.frame - PICTURE_EVERY)
      this.#bytes -= this.#pictures.shift().blob.size;
  }

  // The picture of a moment: the last that was kept before it, or null.
  picture(number) { return this.#pictures.findLast(p => p.number <= number)?.blob ?? null; }
}
