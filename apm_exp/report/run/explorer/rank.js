// The order of the pairs by a value: higher first, ties by row, which is the order of pair_id.
function valuesOf(alpha) {
  const values = new Float64Array(pairs), weight = given.rewards ? alpha : 1;
  for (let row = 0; row < pairs; row++) values[row] = explicitTerm[row] - weight * implicitTerm[row];
  return values;
}

function highest(values, count) {
  const cut = kth(values, count), kept = new Uint8Array(pairs);
  let missing = count;
  for (let row = 0; row < pairs; row++) if (values[row] > cut) { kept[row] = 1; missing--; }
  for (let row = 0; missing && row < pairs; row++) if (values[row] === cut) { kept[row] = 1; missing--; }
  return { kept, cut };
}

// The count-th highest value. Only the values of its bin are sorted, as sorting all takes most of a redraw.
function kth(values, count) {
  let low = Infinity, high = -Infinity, left = count, bin = 4096;
  for (const value of values) { if (value < low) low = value; if (value > high) high = value; }
  const width = (high - low) / bin, sizes = new Uint32Array(bin + 1);
  if (!(width > 0 && width < Infinity)) return values.slice().sort()[pairs - count];
  const binOf = value => Math.floor((value - low) / width);
  for (const value of values) sizes[binOf(value)]++;
  while (sizes[bin] < left) left -= sizes[bin--];
  const inside = values.filter(value => binOf(value) === bin).sort();
  return inside[inside.length - left];
}

function placesBy(values) {
  const order = Uint32Array.from(values, (_, row) => row).sort((a, b) => values[b] - values[a] || a - b);
  const places = new Uint32Array(pairs);
  order.forEach((row, place) => { places[row] = place; });
  return places;
}

// The ranks, from 1, of some rows: pairs with a higher value come first, and those with the same value in rows above.
function ranksOf(rows, values) {
  const sorted = Float64Array.from(new Set(rows.map(row => values[row]))).sort(), size = sorted.length;
  const higher = new Uint32Array(size + 1), same = new Uint32Array(size), before = new Map(), wanted = new Set(rows);
  for (let row = 0; row < pairs; row++) {
    let low = 0, high = size;
    while (low < high) { const middle = (low + high) >> 1; if (sorted[middle] < values[row]) low = middle + 1; else high = middle; }
    higher[low]++; // higher than the places before this one
    if (low < size && sorted[low] === values[row]) {
      if (wanted.has(row)) before.set(row, [low, same[low]]);
      same[low]++;
    }
  }
  for (let place = size; place--;) higher[place] += higher[place + 1];
  return new Map(rows.map(row => { const [place, tied] = before.get(row); return [row, higher[place + 1] + tied + 1]; }));
}

const others = given.rewards ? { explicit: placesBy(explicitTerm) } : {};
others.implicit = placesBy(implicitTerm.map(size => -size));
others.uniform = byChance;
