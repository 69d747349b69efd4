// The last minutes: all frames, and as many of their pictures as memory is set aside for.
const SECONDS = 300, PICTURE_BYTES = 96 << 20, PICTURE_EVERY = 10;

export class History {
  frames = []; #pictures = []; #bytes = 0;

  constructor(fps) { this.most = SECONDS * fps; }

  add(frame) {
    if (this.frames.length && frame.frame <= this.frames.at(-1).frame) this.clear();  // another stream
    this.frames.push(frame);
    if (this.frames.length > this.most) this.frames.shift();
  }

  clear() { this.frames = []; this.#pictures = []; this.#bytes = 0; }

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
