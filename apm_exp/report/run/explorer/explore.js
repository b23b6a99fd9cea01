// The sliders, and all that follows from them.
const alphaSlider = at('alpha'), keepSlider = at('keep');
const digits = Array.from({ length: 90 }, (_, place) => 10 + place);
const stops = [...new Set([0, ...[-3, -2, -1, 0].flatMap(power => digits.map(two => Number(`${two}e${power}`))), 100, given.alpha])].sort((a, b) => a - b);
const notKeptByRun = keptByRun.map(flag => 1 - flag);
const state = { alpha: given.alpha, ownShare: true };
const keptCount = () => (state.ownShare ? given.kept : Math.max(1, Math.floor(keepSlider.valueAsNumber * pairs / 1000)));

function reset() {
  Object.assign(state, { alpha: given.alpha, ownShare: true });
  alphaSlider.max = stops.length - 1;
  alphaSlider.value = stops.indexOf(given.alpha);
  keepSlider.min = Math.min(1000, Math.ceil(1000 / given.pairs));
  keepSlider.value = Math.round(1000 * given.kept / pairs);
}

function command() {
  if (given.own && state.ownShare && state.alpha === given.alpha) return given.command;
  const metric = given.rewards ? `metric=map alpha=${state.alpha}${given.rescaled ? '' : ' metric.rescale=false'}` : 'metric=implicit';
  return `${given.base} ${metric} ${state.ownShare ? given.keep : `keep=top_fraction keep.fraction=${keepSlider.valueAsNumber / 1000}`}`;
}

function shared(kept, places, total) {
  let both = 0;
  for (let row = 0; row < pairs; row++) if (kept[row] && places[row] < total) both++;
  return both;
}

function overlaps(kept, total) {
  const chance = total * total / pairs / (2 * total - total * total / pairs);
  const rows = Object.entries(others).map(([name, places]) => [name === 'uniform' ? `uniform, seed ${given.seed}` : name, shared(kept, places, total), total]);
  rows.unshift(["this run's selection", shared(kept, notKeptByRun, 1), keptByRun.reduce((sum, flag) => sum + flag, 0)]);
  at('overlap').replaceChildren(...rows.map(([name, both, size]) => {
    const line = element('tr');
    line.append(element('th', name), element('td', `${count(both)} (${percent(both / total)})`, 'n'), element('td', number(both / (total + size - both)), 'n'));
    line.cells[0].scope = 'row';
    return line;
  }));
  at('chance').textContent = `Two random selections of this size have a Jaccard index of ${number(chance)}.`;
}

function lengths(kept) {
  const lines = [[1, 'kept'], [0, 'not kept']].map(([wanted, name]) => {
    let total = 0, more = 0, size = 0;
    for (let row = 0; row < pairs; row++) if (kept[row] === wanted) { size++; total += longer[row]; more += longer[row] > 0; }
    const line = element('tr'), dash = '\u2013';
    line.append(element('th', name), element('td', count(size), 'n'), element('td', size ? (total > 0 ? '+' : '') + number(total / size, 1) : dash, 'n'),
      element('td', size ? percent(more / size) : dash, 'n'));
    line.cells[0].scope = 'row';
    return line;
  });
  at('lengths').replaceChildren(...lines);
}

function redraw() {
  const began = performance.now(), total = keptCount(), values = valuesOf(state.alpha);
  const { kept, cut } = highest(values, total);
  at('alpha-value').textContent = state.alpha;
  at('keep-value').textContent = `${percent(total / pairs)}, ${count(total)} of ${count(pairs)}`;
  at('cut').textContent = number(cut, 3);
  draw(kept, state.alpha, cut);
  overlaps(kept, total);
  lengths(kept);
  list(values, kept, total);
  at('command').textContent = command();
  at('copy').textContent = 'Copy';
  root.dataset.milliseconds = performance.now() - began;
}

const again = name => () => { shown = FIRST; redraw(); };
alphaSlider.addEventListener('input', () => { state.alpha = stops[alphaSlider.valueAsNumber]; redraw(); });
keepSlider.addEventListener('input', () => { state.ownShare = false; redraw(); });
at('reset').addEventListener('click', () => { reset(); redraw(); });
at('more').addEventListener('click', () => { shown += FIRST; redraw(); });
for (const name of ['search', 'which', 'order']) at(name).addEventListener('input', again(name));
at('copy').addEventListener('click', () => {
  getSelection().selectAllChildren(at('command'));
  at('copy').textContent = document.execCommand('copy') ? 'Copied' : 'Press Ctrl+C';
});
root.hidden = false;
reset();
measure();
redraw();
new ResizeObserver(() => { if (Math.round(canvas.clientWidth * devicePixelRatio) !== canvas.width) { measure(); redraw(); } }).observe(canvas);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
