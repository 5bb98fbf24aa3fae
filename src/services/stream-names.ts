/** Which live names are taken, and by whom. Shared by every kind of publisher: a name has one source, whatever its protocol. */
export class StreamNames {
  readonly #holders = new Map<string, string>();

  /** False when another media session holds the name. */
  reserve(name: string, mediaSessionId: string): boolean {
    if (this.#holders.has(name)) return false;
    this.#holders.set(name, mediaSessionId);
    return true;
  }

  /** Frees the name if this media session holds it. */
  release(name: string, mediaSessionId: string): void {
    if (this.#holders.get(name) === mediaSessionId) this.#holders.delete(name);
  }

  holderOf(name: string): string | undefined {
    return this.#holders.get(name);
  }
}
