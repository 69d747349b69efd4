// Keys, from anywhere on the page, and what a pointer does on the panorama.
const CLICK_PX = 5, ZOOM = 1.2;
// What uses some keys itself: they stay its own.
const OWN_KEYS = { BUTTON: ' ', SUMMARY: ' ', INPUT: ' ArrowLeftArrowRightArrowUpArrowDownHomeEnd' };

export function handleKeys(actions) {
  document.addEventListener('keydown', event => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
    if (OWN_KEYS[event.target.tagName]?.includes(event.key)) return;
    const action = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (action) { event.preventDefault(); action(); }
  });
}

export function handlePointer(view, isAiming, listenTo) {
  const { canvas } = view, fingers = new Map();
  let moved = 0;
  canvas.onpointerdown = event => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, event);
    if (fingers.size === 1) moved = 0;
  };
  canvas.onpointermove = event => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const dx = event.clientX - before.clientX, dy = event.clientY - before.clientY, per = view.degreesPerPixel;
    moved += Math.hypot(dx, dy);
    if (fingers.size === 1) view.turn(view.yaw + dx * per, view.pitch + dy * per);
    else {
      const apart = () => { const [a, b] = [...fingers.values()]; return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY); };
      const was = apart();
      fingers.set(event.pointerId, event);
      view.turn(view.yaw, view.pitch, view.zoom * apart() / Math.max(was, 1));
    }
    fingers.set(event.pointerId, event);
  };
  canvas.onpointerup = canvas.onpointercancel = event => {
    fingers.delete(event.pointerId);
    if (event.type === 'pointerup' && moved < CLICK_PX && isAiming()) listenTo(view.direction(event.offsetX, event.offsetY));
  };
  canvas.ondblclick = event => listenTo(view.direction(event.offsetX, event.offsetY));
  canvas.addEventListener('wheel', event => {
    event.preventDefault();
    view.turn(view.yaw, view.pitch, view.zoom * ZOOM ** (-Math.sign(event.deltaY)));
  }, { passive: false });
}
