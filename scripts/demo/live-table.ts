import type { PushStatus } from '../../src/services/transponder-request.ts';

export interface TableRow extends PushStatus {
  readonly stream: string;
  readonly destination: string;
}

const COLUMNS = ['stream', 'destination', 'state', 'bitrate', 'fps', 'uptime', 'restarts'] as const;
const CURSOR_UP = '\u001b[1A';
const CLEAR_LINE = '\u001b[2K';

/** The table as lines of text: a head and one line for each push. */
export function tableLines(rows: readonly TableRow[], nowMs: number): string[] {
  const cells = rows.map((row) => cellsOf(row, nowMs));
  const widths = COLUMNS.map((name, column) => Math.max(name.length, ...cells.map((line) => line[column]!.length)));
  return [[...COLUMNS], ...cells].map((line) =>
    line
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
}

/** Writes the table over its last one on a terminal, else one plain line for each push. */
export function createTableView(output: NodeJS.WriteStream): (rows: readonly TableRow[], nowMs: number) => void {
  let drawn = 0;
  return (rows, nowMs) => {
    const lines = tableLines(rows, nowMs);
    if (!output.isTTY) {
      output.write(rows.map((row) => `${plainLine(row, nowMs)}\n`).join(''));
      return;
    }
    output.write(CURSOR_UP.repeat(drawn) + lines.map((line) => `${CLEAR_LINE}${line}\n`).join(''));
    drawn = lines.length;
  };
}

function plainLine(row: TableRow, nowMs: number): string {
  const cells = cellsOf(row, nowMs);
  return COLUMNS.map((name, column) => `${name}=${cells[column]}`).join(' ');
}

function cellsOf(row: TableRow, nowMs: number): string[] {
  return [
    row.stream,
    row.destination,
    row.state,
    row.bitrateBps === undefined ? '-' : `${Math.round(row.bitrateBps / 1000)}kbit/s`,
    row.fps === undefined ? '-' : row.fps.toFixed(1),
    `${Math.max(0, Math.floor((nowMs - row.stateSinceMs) / 1000))}s`,
    String(row.restartsTotal),
  ];
}
