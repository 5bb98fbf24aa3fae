import { ProtocolError } from '../../src/domain/errors.ts';

/** Code of the ProtocolError that `act` throws, 'none' if it throws nothing; any other error goes on. */
export function protocolErrorCode(act: () => unknown): string {
  try {
    act();
    return 'none';
  } catch (error) {
    if (error instanceof ProtocolError) return error.code;
    throw error;
  }
}
