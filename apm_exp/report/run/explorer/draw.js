// The scatter plot, drawn dot by dot into the pixels of a canvas; without rewards the length difference is to the right.
const canvas = at('scatter'), pen = canvas.getContext('2d'), right = given.rewards ? explicit : longer;
const margin = { left: 46, right: 8, top: 8, bottom: 36 };
let scale = 1, places = null;

const toX = value => (margin.left + (value - given.limits[0][0]) / (given.limits[0][1] - given.limits[0][0]) *
  (canvas.clientWidth - margin.left - margin.right)) * scale;
const toY = value => (margin.top + (given.limits[1][1] - value) / (given.limits[1][1] - given.limits[1][0]) *
  (canvas.clientHeight - margin.top - margin.bottom)) * scale;
const within = (value, [low, high]) => Math.min(high, Math.max(low, value));

function measure() {
  scale = window.devicePixelRatio || 1;
  canvas.width = Math.round(canvas.clientWidth * scale);
  canvas.height = Math.round(canvas.clientHeight * scale);
  pen.font = font();
  const widest = Math.max(...ticks(given.limits[1]).map(mark => pen.measureText(signed(mark)).width));
  margin.left = Math.ceil(widest / scale) + 26; // beside the axis's name
  places = new Int32Array(pairs);
  for (let row = 0; row < pairs; row++) {
    const x = Math.round(toX(within(right[row], given.limits[0]))), y = Math.round(toY(within(implicit[row], given.limits[1])));
    places[row] = y * canvas.width + x;
  }
}

const color = name => getComputedStyle(root).getPropertyValue(`--${name}`).trim();
const bytesOf = hex => [1, 3, 5].map(start => parseInt(hex.slice(start, start + 2), 16));

const font = () => `${12 * scale}px system-ui, sans-serif`;

function disc() {
  const radius = (pairs > 20000 ? 0.7 : pairs > 2000 ? 1.3 : pairs > 100 ? 2.3 : 3.2) * scale, shifts = [];
  for (let y = -Math.ceil(radius); y <= radius; y++) for (let x = -Math.ceil(radius); x <= radius; x++)
    if (x * x + y * y <= radius * radius + 0.5) shifts.push(y * canvas.width + x);
  return shifts;
}

function draw(kept, alpha, cut) {
  if (!canvas.clientWidth) return;
  const image = pen.createImageData(canvas.width, canvas.height), pixels = new Uint32Array(image.data.buffer);
  const shifts = disc();
  for (const [wanted, name] of [[0, 'other'], [1, 'kept']]) {
    const [red, green, blue] = bytesOf(color(name)), ink = ((205 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
    for (let row = 0; row < pairs; row++) if (kept[row] === wanted) for (const shift of shifts) pixels[places[row] + shift] = ink;
  }
  pen.putImageData(image, 0, 0);
  drawAxes();
  drawCut(alpha, cut);
}

function ticks([low, high]) {
  const rough = (high - low) / 6, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(part => part * power).find(size => size >= rough), found = [];
  for (let mark = Math.ceil(low / step); mark * step <= high; mark++) found.push(Number((mark * step).toPrecision(6)));
  return found;
}

function drawAxes() {
  const [bottom, left] = [canvas.height - margin.bottom * scale, margin.left * scale];
  Object.assign(pen, { fillStyle: color('muted'), strokeStyle: color('rule'), lineWidth: scale, font: font() });
  pen.beginPath();
  pen.moveTo(left, margin.top * scale); pen.lineTo(left, bottom); pen.lineTo(canvas.width - margin.right * scale, bottom);
  pen.stroke();
  pen.textAlign = 'center';
  for (const mark of ticks(given.limits[0])) pen.fillText(signed(mark), toX(mark), bottom + 14 * scale);
  pen.fillText(given.rewards ? 'explicit margin (reward units)' : 'chosen minus rejected (tokens)', (left + canvas.width) / 2, canvas.height - 6 * scale);
  pen.textAlign = 'right';
  for (const mark of ticks(given.limits[1])) pen.fillText(signed(mark), left - 6 * scale, toY(mark) + 4 * scale);
  pen.save();
  pen.translate(11 * scale, bottom / 2); pen.rotate(-Math.PI / 2);
  pen.textAlign = 'center';
  pen.fillText('implicit margin (nats per token)', 0, 0);
  pen.restore();
}

// The cut: |explicit| / sigma_r - alpha |implicit| / sigma_pi = cut, in each quadrant a straight line.
function drawCut(alpha, cut) {
  const [sigmaR, sigmaPi] = given.sigmas, weight = given.rewards ? alpha : 1;
  const far = Math.max(...given.limits.flat().map(Math.abs)) * 4;
  const slope = sigmaPi && weight / sigmaPi, start = Math.max(0, cut);
  pen.save();
  pen.beginPath();
  pen.rect(margin.left * scale, 0, canvas.width, canvas.height - margin.bottom * scale);
  pen.clip();
  pen.beginPath();
  for (const x of [-1, 1]) for (const y of [-1, 1]) {
    const point = sized => [toX(x * sized * sigmaR), toY(slope ? y * (sized - cut) / slope : y * far)];
    if (given.rewards && sigmaR) {
      pen.moveTo(...(slope ? point(start) : [toX(x * start * sigmaR), toY(0)]));
      pen.lineTo(...point(slope ? start + far / sigmaR : start));
    } else if (slope) { pen.moveTo(toX(-far), toY(-y * cut / slope)); pen.lineTo(toX(far), toY(-y * cut / slope)); }
  }
  Object.assign(pen, { strokeStyle: color('ink'), lineWidth: 1.2 * scale });
  pen.setLineDash([5 * scale, 4 * scale]);
  pen.stroke();
  pen.restore();
}
