// Directions in degrees: azimuth positive to the left, elevation positive upwards; vectors have x to the front, y to
// the left, z up. The same convention as saiseld.conventions.sphere.
const rad = degrees => degrees * Math.PI / 180, deg = radians => radians * 180 / Math.PI;

export const wrap = azimuth => ((azimuth + 180) % 360 + 360) % 360 - 180;

export function vector(azimuth, elevation) {
  const a = rad(azimuth), e = rad(elevation);
  return [Math.cos(e) * Math.cos(a), Math.cos(e) * Math.sin(a), Math.sin(e)];
}

export const angles = ([x, y, z]) => ({ azimuth: deg(Math.atan2(y, x)), elevation: deg(Math.atan2(z, Math.hypot(x, y))) });

export const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

export const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];

// The direction on the way from one to another, by the share of the way that is done.
export function between(from, to, share) {
  const a = vector(from.azimuth, from.elevation), b = vector(to.azimuth, to.elevation);
  return angles(a.map((value, i) => value + share * (b[i] - value)));
}

export const clock = seconds => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`;

export function told({ azimuth, elevation }, isAssumed = false) {
  const a = Math.round(azimuth), e = Math.round(elevation);
  const side = a === 0 ? 'in front' : Math.abs(a) === 180 ? 'behind' : `${Math.abs(a)}° ${a > 0 ? 'left' : 'right'}`;
  return side + (isAssumed ? ', elevation assumed' : e === 0 ? '' : `, ${Math.abs(e)}° ${e > 0 ? 'up' : 'down'}`);
}
