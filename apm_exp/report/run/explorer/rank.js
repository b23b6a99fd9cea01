// The order of the pairs by a value: higher first, ties by row, which is the order of pair_id.
function valuesOf(alpha) {
  const values = new Float64Array(pairs), weight = given.rewards ? alpha : 1;
  for (let row = 0; row < pairs; row++) values[row] = explicitTerm[row] - weight * implicitTerm[row];
  return values;
}

function highest(values, sorted, count) {
  const cut = sorted[pairs - count], kept = new Uint8Array(pairs);
  let missing = count;
  for (let row = 0; row < pairs; row++) if (values[row] > cut) { kept[row] = 1; missing--; }
  for (let row = 0; missing && row < pairs; row++) if (values[row] === cut) { kept[row] = 1; missing--; }
  return { kept, cut };
}

function placesBy(values) {
  const order = Uint32Array.from(values, (_, row) => row).sort((a, b) => values[b] - values[a] || a - b);
  const places = new Uint32Array(pairs);
  order.forEach((row, place) => { places[row] = place; });
  return places;
}

// The ranks, from 1, of a few rows: those with a higher value come first, and those with the same value above it.
function ranksOf(rows, values, sorted) {
  const tied = new Map(rows.map(row => [values[row], 0])), ranks = new Map();
  const wanted = new Set(rows);
  for (let row = 0; row < pairs; row++) {
    if (!tied.has(values[row])) continue;
    const before = tied.get(values[row]);
    tied.set(values[row], before + 1);
    if (wanted.has(row)) ranks.set(row, before + 1);
  }
  for (const row of rows) ranks.set(row, ranks.get(row) + above(sorted, values[row]));
  return ranks;
}

function above(sorted, value) {
  let low = 0, high = sorted.length;
  while (low < high) { const middle = (low + high) >> 1; if (sorted[middle] > value) high = middle; else low = middle + 1; }
  return sorted.length - low;
}

const others = given.rewards ? { explicit: placesBy(explicitTerm) } : {};
others.implicit = placesBy(implicitTerm.map(size => -size));
others.uniform = byChance;
const counted = (kept, also) => { let both = 0; for (let row = 0; row < pairs; row++) both += kept[row] && also(row) ? 1 : 0; return both; };
