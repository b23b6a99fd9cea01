// The embedded pairs. Numbers are integers of a few bytes in base64 (planes.py), times a unit.
const root = document.querySelector('.explorer');
const at = name => root.querySelector(`[data-part="${name}"]`);
const given = JSON.parse(root.dataset.settings), listed = JSON.parse(root.dataset.texts);

function integers(text, width) {
  const bytes = atob(text), shift = 32 - 8 * width, numbers = new Int32Array(bytes.length / width);
  for (let place = 0, byte = 0; place < numbers.length; place++) {
    let number = 0;
    for (let part = 0; part < width; part++) number |= bytes.charCodeAt(byte++) << (8 * part);
    numbers[place] = (number << shift) >> shift;
  }
  return numbers;
}

const times = (codes, unit) => Float64Array.from(codes, code => code * unit);
const implicit = times(integers(root.dataset.implicit, 3), given.units[1]);
const explicit = given.rewards ? times(integers(root.dataset.explicit, 3), given.units[0]) : new Float64Array(implicit.length);
for (const [row, first, second] of given.exact) [explicit[row], implicit[row]] = [first, second];
const byChance = integers(root.dataset.uniform, 3), longer = integers(root.dataset.lengths, given.lengthBytes);
const bits = integers(root.dataset.kept, 1);
const pairs = implicit.length, keptByRun = Uint8Array.from(implicit, (_, row) => (bits[row >> 3] >> (row & 7)) & 1);
for (const name of ['implicit', 'explicit', 'uniform', 'lengths', 'kept', 'texts']) root.removeAttribute(`data-${name}`);

const term = (margins, sigma) => Float64Array.from(margins, margin => (sigma ? Math.abs(margin / sigma) : 0));
const explicitTerm = term(explicit, given.sigmas[0]), implicitTerm = term(implicit, given.sigmas[1]);
