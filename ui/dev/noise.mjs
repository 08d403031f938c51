// Numbers that look measured and are the same every time.

/** Repeatable noise in 0…1 for a time and a name. */
export function noise(at, seed) {
  const x = Math.sin(at * 12.9898 + seed * 78.233) * 43758.5453;
  return x - Math.floor(x);
}

/** Smooth noise: interpolated between points 20 s apart. */
export function wave(at, seed, period = 20) {
  const slot = Math.floor(at / period);
  const part = at / period - slot;
  const eased = part * part * (3 - 2 * part);
  return noise(slot, seed) * (1 - eased) + noise(slot + 1, seed) * eased;
}
