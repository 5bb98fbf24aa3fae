import type { MediaUnit } from '../domain/media.ts';

/** A first-in first-out queue of units that knows its bytes. Taking does not move the rest. */
export class UnitQueue {
  #units: MediaUnit[] = [];
  #head = 0;
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#head === this.#units.length;
  }

  get oldest(): MediaUnit | undefined {
    return this.#units[this.#head];
  }

  get oldestVideo(): MediaUnit | undefined {
    return this.#units.find((unit, index) => index >= this.#head && unit.kind === 'video');
  }

  push(unit: MediaUnit): void {
    this.#units.push(unit);
    this.#bytes += unit.data.length;
  }

  shift(): MediaUnit | undefined {
    const unit = this.#units[this.#head];
    if (unit === undefined) return undefined;
    this.#head += 1;
    this.#bytes -= unit.data.length;
    if (this.isEmpty) {
      this.#units.length = 0;
      this.#head = 0;
    } else if (this.#head >= 1024) {
      this.#units.splice(0, this.#head);
      this.#head = 0;
    }
    return unit;
  }

  /** Removes all video and returns how many units that were. */
  dropVideo(): number {
    return this.#dropVideoBefore(this.#units.length);
  }

  /** Removes the video before the newest keyframe, and returns how many units that were. */
  dropVideoBeforeKeyframe(): number {
    return this.#dropVideoBefore(this.#units.findLastIndex((unit) => unit.kind === 'video' && unit.isKeyframe));
  }

  #dropVideoBefore(end: number): number {
    const waiting = this.#units.length - this.#head;
    this.#units = this.#units.filter((unit, index) => index >= this.#head && (unit.kind === 'audio' || index >= end));
    this.#head = 0;
    this.#bytes = this.#units.reduce((sum, unit) => sum + unit.data.length, 0);
    return waiting - this.#units.length;
  }

  clear(): void {
    this.#units = [];
    this.#head = 0;
    this.#bytes = 0;
  }
}
