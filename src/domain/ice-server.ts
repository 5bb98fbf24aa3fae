/** A STUN or TURN server that clients are told of. */
export interface IceServer {
  /** As `stun:stun.example.net` (RFC 7064) or `turn:turn.example.net?transport=udp` (RFC 7065). */
  readonly uri: string;
  /** Only of TURN. */
  readonly login?: { readonly username: string; readonly credential: string } | undefined;
}
