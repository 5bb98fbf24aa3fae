/** One life cycle everywhere (design §3): `close` is memoised and resolves when sockets, timers and children are really gone. */
export interface Closable {
  close(reason: string): Promise<void>;
}
