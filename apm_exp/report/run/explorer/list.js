// The list of pairs. Their texts are only ever set as text.
const FIRST = 20;
let shown = FIRST;

function element(name, text, kind) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

const number = (value, places = 2) => value.toFixed(places).replace(/\B(?=(\d{3})+(?!\d))(?<!\.\d*)/g, ',').replace('-', '\u2212');
const count = value => number(value, 0), signed = value => String(value).replace('-', '\u2212');
const percent = share => `${number(100 * share, 1)}%`;

// The same words as reason.py has for an exported pair. Margins are signed: a negative one prefers the rejected response.
function reason(row, kept) {
  const size = (margin, sigma) => (given.rescaled ? number((sigma ? Math.round(10 * margin / sigma) / 10 : 0) + 0, 1) :
    signed(Number(margin.toPrecision(2))));
  const [reward, policy] = [size(explicit[row], given.sigmas[0]), size(implicit[row], given.sigmas[1])];
  const [first, second] = given.rescaled ? [' sigma', given.rewards ? '' : ' sigma'] : [' reward units', ' nats per token'];
  const sees = given.rewards ? `reward sees ${reward}${first}, policy ${policy}` : `policy sees ${policy}`;
  return `${kept ? 'kept' : 'not kept'}: ${sees}${second}`;
}

function item([row, name, source, ...texts], rank, value, kept) {
  const details = element('details'), summary = element('summary', texts[0].split(/\s+/).join(' ').slice(0, 90));
  const terms = given.rewards ? ` = ${number(explicitTerm[row])} \u2212 ${number(state.alpha * implicitTerm[row])}` : '';
  const line = `rank ${count(rank)} of ${count(pairs)} \u00b7 value ${number(value)}${terms} \u00b7 ${reason(row, kept)}`;
  summary.append(element('span', line, kept ? 'numbers kept' : 'numbers'));
  const inside = element('div'), identity = element('p', 'pair_id ', 'quiet');
  identity.append(element('code', name), ' \u00b7 ', source);
  inside.append(identity);
  ['prompt', 'chosen', 'rejected'].forEach((part, place) => {
    const turn = element('div', undefined, 'turn');
    turn.append(element('p', part, 'role'), element('pre', texts[place]));
    inside.append(turn);
  });
  details.append(summary, inside);
  return details;
}

function list(values, kept, total) {
  const word = at('search').value.toLowerCase(), which = at('which').value, order = at('order').value;
  const ranks = ranksOf(listed.map(entry => entry[0]), values);
  const from = { cut: row => Math.abs(ranks.get(row) - total - 0.5), high: row => ranks.get(row), low: row => -ranks.get(row) }[order];
  const fits = listed.filter(([row, ...texts]) => (which === 'all' || (which === 'kept') === !!kept[row]) &&
    texts.some(text => text.toLowerCase().includes(word)));
  fits.sort((a, b) => from(a[0]) - from(b[0]));
  const page = fits.slice(0, shown);
  if (order === 'cut') page.sort((a, b) => ranks.get(a[0]) - ranks.get(b[0]));
  at('list').replaceChildren(...page.map(entry => item(entry, ranks.get(entry[0]), values[entry[0]], kept[entry[0]])));
  at('found').textContent = `${count(page.length)} of ${count(fits.length)} pair${fits.length === 1 ? '' : 's'} shown.`;
  at('more').hidden = page.length === fits.length;
}
