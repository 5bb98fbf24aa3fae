/** Takes the lock of a directory when told to, says whether it has it, and keeps it until it is ended. */
import { lockDirectory } from '../../src/supervisor/directory-lock.ts';

const directory = process.argv[2]!;
process.on('message', () => {
  try {
    lockDirectory('data_dir', directory);
    process.send!('won');
  } catch {
    process.send!('lost');
  }
});
process.send!('ready');
