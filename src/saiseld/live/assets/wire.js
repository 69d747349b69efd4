// What comes from the server: see saiseld.live.page.
const KINDS = { 1: 'frame', 2: 'picture' }, PING_MS = 2000, UNANSWERED = 5, AGAIN_MS = 1000;

export const address = path => Object.assign(new URL(path, location), { protocol: location.protocol.replace('http', 'ws') });

export class Wire extends EventTarget {
  #trips = []; #socket; #unanswered = 0;

  connect() {
    const socket = this.#socket = new WebSocket(address('look'));
    socket.binaryType = 'arraybuffer';
    let pinging;
    socket.onopen = () => {
      this.#trips = [];
      this.#unanswered = 0;
      this.#ping();
      pinging = setInterval(() => this.#ping(), PING_MS);
      this.#tell('open');
    };
    socket.onmessage = ({ data }) => {
      this.#unanswered = 0;
      if (typeof data === 'string') this.#text(JSON.parse(data));
      else {
        const view = new DataView(data), length = view.getUint32(4, true);
        const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 8, length)));
        this.#tell(KINDS[view.getUint8(0)], { ...header, content: new Uint8Array(data, 8 + length) });
      }
    };
    socket.onclose = ({ reason }) => {
      clearInterval(pinging);
      this.#socket = null;
      this.#tell('closed', reason);
      setTimeout(() => this.connect(), AGAIN_MS);
    };
  }

  // Seconds on the server's clock: by the quickest of the last round trips.
  get now() {
    const best = this.#trips.reduce((a, b) => a && a.took <= b.took ? a : b, null);
    return best ? performance.now() / 1000 + best.ahead : NaN;
  }

  // A network that was cut off closes nothing: who does not answer is gone.
  #ping() {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN) return;
    if (this.#unanswered++ < UNANSWERED) socket.send(JSON.stringify({ ping: performance.now() / 1000 }));
    else { socket.close(); socket.onclose({ reason: '' }); socket.onclose = socket.onmessage = null; }
  }

  #text(message) {
    if ('ping' in message) {
      const now = performance.now() / 1000;
      this.#trips = [...this.#trips.slice(-9), { took: now - message.ping, ahead: message.now - (now + message.ping) / 2 }];
    } else for (const [name, value] of Object.entries(message)) this.#tell(name, value);
  }

  #tell(name, detail) { this.dispatchEvent(new CustomEvent(name, { detail })); }
}
