// Sound from one direction, as the server's beam brings it.
import { address } from './wire.js';

const AHEAD_S = 0.15, MOST_AHEAD_S = 0.6, AGAIN_MS = 1000;

export class Listening {
  heard = 0; peak = 0; direction = null; onend = () => {};
  #context; #gain; #socket; #next = 0;

  constructor(rate, decibels) { this.rate = rate; this.decibels = decibels; }

  set decibels(value) {
    this.amount = 10 ** (value / 20);
    if (this.#gain) this.#gain.gain.value = this.amount;
  }

  to(direction) {
    this.direction = direction;
    if (!this.#context) {
      this.#context = new AudioContext({ sampleRate: this.rate });
      this.#gain = new GainNode(this.#context, { gain: this.amount });
      // Ears are not to be surprised.
      const limiter = new DynamicsCompressorNode(this.#context, { threshold: -12, ratio: 20, attack: 0.002 });
      this.#gain.connect(limiter).connect(this.#context.destination);
    }
    this.#context.resume();
    if (this.#socket) {
      if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(direction));
      return;
    }
    this.#connect();
  }

  // Listening goes on when the server is there again.
  #connect() {
    const socket = this.#socket = new WebSocket(address('listen'));
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => socket.send(JSON.stringify(this.direction));
    socket.onmessage = ({ data }) => this.#play(new Int16Array(data));
    socket.onclose = () => setTimeout(() => { if (this.#socket === socket) this.#connect(); }, AGAIN_MS);
  }

  stop() {
    const socket = this.#socket;
    this.#socket = null; this.direction = null;
    socket?.close();
    this.#context?.suspend();
    this.onend();
  }

  #play(samples) {
    const context = this.#context, buffer = context.createBuffer(1, samples.length, this.rate);
    const channel = buffer.getChannelData(0), now = context.currentTime;
    samples.forEach((value, i) => { channel[i] = value / 32768; });
    this.heard += samples.length;
    this.peak = channel.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    // Too late, or so far ahead that it would be heard too late: begin anew.
    if (this.#next < now || this.#next > now + MOST_AHEAD_S) this.#next = now + AHEAD_S;
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(this.#gain);
    source.start(this.#next);
    this.#next += buffer.duration;
  }
}
