/** How fast something goes, and how long it will take. */

const KEPT = 60;
const WINDOW = 8;

export class Speed {
  constructor() {
    this.points = [];
    this.rates = [];
  }

  /** Notes how many bytes are done by now; call it about once a second. */
  note(done, now = performance.now() / 1000) {
    const last = this.points.at(-1);
    if (last) this.rates.push(Math.max(0, (done - last.done) / Math.max(0.05, now - last.now)));
    this.points.push({ done, now });
    if (this.points.length > WINDOW) this.points.shift();
    if (this.rates.length > KEPT) this.rates.shift();
  }

  /** Bytes a second over the last seconds. */
  now() {
    const [first, last] = [this.points[0], this.points.at(-1)];
    return first && last.now > first.now ? Math.max(0, (last.done - first.done) / (last.now - first.now)) : 0;
  }
}

/** Keeps the rates that a job reports, for its curve. */
export function keepRate(rates, value) {
  rates.push(Math.max(0, value || 0));
  if (rates.length > KEPT) rates.shift();
}
