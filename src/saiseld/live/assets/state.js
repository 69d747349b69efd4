// How things stand with the server, in words and in what the picture looks like.
const GONE_MS = 8000, STALLED_MS = 2500, LOOK_MS = 500;
const time = date => date.toLocaleTimeString([], { hour12: false });

export class State extends EventTarget {
  name = 'connecting'; #text = document.getElementById('state'); #banner = document.getElementById('banner');
  #lostAt = null; #cameAt = null; #ended = null; #refused = ''; #isDropped = false; #newSince = null;

  constructor() {
    super();
    setInterval(() => this.#look(), LOOK_MS);
  }

  opened() { this.#lostAt = null; this.#refused = ''; this.#cameAt = performance.now(); this.#look(); }
  // Another session than that seen before, by a program that was started again: nothing of it has come yet.
  began(isOther) { this.#ended = null; if (isOther) { this.#newSince = new Date(); this.#cameAt = null; } this.#look(); }
  came(frame) { this.#cameAt = performance.now(); this.#isDropped = !frame.imaged; this.#look(); }
  ended(how) { this.#ended = { at: new Date(), how }; this.#look(); }

  closed(reason) {
    this.#refused = reason;
    this.#lostAt ??= { at: performance.now(), date: new Date() };
    this.#look();
  }

  #look() {
    const [name, text, banner] = this.#now();
    if (name !== this.name) {
      this.name = document.body.dataset.state = name;
      this.dispatchEvent(new Event('change'));
    }
    document.title = name === 'live' ? 'saiseld live' : `${text} – saiseld live`;
    if (this.#text.textContent !== text) this.#text.textContent = text;
    this.#banner.hidden = !banner;
    if (this.#banner.textContent !== banner) this.#banner.textContent = banner;
  }

  #now() {
    if (this.#ended) {
      const { at, how } = this.#ended;
      return ['ended', 'Stream ended', how.error ? `The stream ended at ${time(at)}: ${how.error}` : `The stream ended at ${time(at)}.`];
    }
    if (this.#lostAt) {
      if (this.#refused) return ['reconnecting', 'Refused; trying again', `The server refused: ${this.#refused}. Trying again …`];
      if (this.#cameAt === null) return ['reconnecting', 'No connection; trying again', 'The server does not answer. Trying again …'];
      if (performance.now() - this.#lostAt.at < GONE_MS) return ['reconnecting', 'Reconnecting; trying again', 'Connection lost. Reconnecting …'];
      return ['gone', 'Server gone', `The server is gone since ${time(this.#lostAt.date)}. This is the last picture.`];
    }
    if (this.#cameAt === null) return ['connecting', 'Connecting …', ''];
    if (performance.now() - this.#cameAt > STALLED_MS) return ['stalled', 'Connected; no sound comes', 'No sound comes. Waiting for the source …'];
    return this.#isDropped ? ['overloaded', 'Overloaded: this frame was dropped', ''] : ['live', this.#newSince ? `Connected; a new session since ${time(this.#newSince)}` : 'Connected', ''];
  }
}
