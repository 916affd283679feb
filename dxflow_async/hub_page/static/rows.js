/**
 * Keeps a few dozen row elements for any number of rows: only those in view exist, and they move as the list scrolls.
 *
 * Browsers limit the height of an element, so above TALLEST pixels the scroll bar stands for more rows than it is tall.
 */

const TALLEST = 8_000_000;
const BEYOND = 6;

export class Rows {
  /**
   * @param {HTMLElement} scroller what scrolls; holds a sticky head and then `sizer`
   * @param {HTMLElement} sizer as tall as all rows
   * @param {() => HTMLElement} make makes an empty row
   * @param {(row: HTMLElement, index: number) => void} fill shows an item in a row
   */
  constructor(scroller, sizer, make, fill) {
    Object.assign(this, { scroller, sizer, make, fill, count: 0, height: 42, spare: [], used: new Map(), frame: 0 });
    scroller.addEventListener("scroll", () => this.later(), { passive: true });
    new ResizeObserver(() => this.refresh()).observe(scroller);
  }

  /** Sets the number of rows, and fills those in view again. */
  setCount(count) {
    this.count = count;
    this.refresh();
  }

  /** Measures again and fills the rows in view again. */
  refresh() {
    this.height = parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row-height")) || 42;
    this.sizer.style.height = `${this._tall()}px`;
    this._draw(true);
  }

  later() {
    this.frame ||= requestAnimationFrame(() => { this.frame = 0; this._draw(false); });
  }

  /** Scrolls as little as possible so that a row is in view. */
  reveal(index) {
    const { above, seen } = this._view();
    const top = index * this.height;
    if (top < above) this._scrollTo(top);
    else if (top + this.height > above + seen) this._scrollTo(top + this.height - seen);
  }

  /** How many whole rows fit. */
  perPage() {
    return Math.max(1, Math.floor(this._view().seen / this.height) - 1);
  }

  _tall() {
    return Math.min(TALLEST, this.count * this.height);
  }

  /* The pixels of rows above the view, were the list as tall as all its rows; and the height of the view. */
  _view() {
    const seen = this.scroller.clientHeight - this.sizer.offsetTop;
    const [real, wanted] = [this._tall() - seen, this.count * this.height - seen];
    const factor = real > 0 ? wanted / real : 1;
    const above = Math.max(0, this.scroller.scrollTop) * factor;
    return { above: factor === 1 ? above : Math.min(above, wanted), seen, factor };
  }

  _scrollTo(above) {
    this.scroller.scrollTop = above / this._view().factor;
    this._draw(false);
  }

  _draw(again) {
    const { above, seen } = this._view();
    const shift = this.scroller.scrollTop - above;
    const first = Math.max(0, Math.floor(above / this.height) - BEYOND);
    const last = Math.min(this.count, Math.ceil((above + seen) / this.height) + BEYOND);
    for (const [index, row] of this.used) {
      if (index >= first && index < last) continue;
      this.used.delete(index);
      this.spare.push(row);
    }
    for (let index = first; index < last; index += 1) {
      let row = this.used.get(index);
      if (!row) {
        row = this.spare.pop() ?? this.make();
        this.used.set(index, row);
        if (!row.isConnected) this.sizer.append(row);
        this.fill(row, index);
      } else if (again) this.fill(row, index);
      row.style.transform = `translateY(${index * this.height + shift}px)`;
    }
    for (const row of this.spare) row.remove();
    this.spare.length = Math.min(this.spare.length, 40);
  }
}
