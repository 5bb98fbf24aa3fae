import { afterAll, beforeAll, expect, test } from 'vitest';
import { startBrowser, type TestBrowser } from '../support/browser.ts';
import { startMeasuredApp, type MeasuredApp } from '../support/measured-app.ts';
import { SdkPage } from '../support/sdk-page.ts';

const WARM_UP_CYCLES = 10;
const PUBLISH_CYCLES = 100;
const PLAY_CYCLES = 30;
/** A session that stayed would keep its packet stores, 3 MB of them. */
const MAX_OUTSIDE_GROWTH_BYTES = 1_000_000;
/** A stream that stayed would keep its offer of 8 kB and more. */
const MAX_HEAP_GROWTH_BYTES_PER_CYCLE = 4000;

let app: MeasuredApp;
let browser: TestBrowser;
let publishing: SdkPage;
let playing: SdkPage;

beforeAll(async () => {
  app = await startMeasuredApp();
  browser = await startBrowser();
  publishing = await SdkPage.open(browser, app.wsUrl);
  playing = await SdkPage.open(browser, app.wsUrl);
});

afterAll(async () => {
  await browser?.close();
  await app?.close();
});

async function publishOnce(index: number): Promise<void> {
  const publisher = await publishing.publish({ name: 'cycle', transport: index % 10 === 0 ? 'TCP' : 'UDP' });
  await publisher.act('stop');
  await publisher.waitFor('UNPUBLISHED');
}

async function playOnce(index: number): Promise<void> {
  const player = await playing.play({ name: 'cycle', transport: index % 10 === 0 ? 'TCP' : 'UDP' });
  await player.act('stop');
  await player.waitFor('STOPPED');
}

async function repeat(times: number, cycle: (index: number) => Promise<void>): Promise<void> {
  for (let index = 0; index < times; index++) await cycle(index);
}

/** Runs the cycles; memory is compared over their second half, when what is made once has been made. */
async function expectNothingLeftBy(cycle: (index: number) => Promise<void>, cycles: number): Promise<void> {
  await repeat(WARM_UP_CYCLES, cycle);
  const before = await app.measure();
  await repeat(cycles / 2, cycle);
  const half = await app.measure();
  await repeat(cycles / 2, cycle);
  expect(await app.leftoversSince(before)).toEqual([]);
  const after = await app.measure();
  const heapBytesPerCycle = (after.heapBytes - half.heapBytes) / (cycles / 2);
  const outsideBytes = after.outsideBytes - half.outsideBytes;
  console.log(`growth over ${cycles / 2} cycles: heap ${heapBytesPerCycle} bytes each, outside ${outsideBytes} bytes`);
  expect(outsideBytes).toBeLessThan(MAX_OUTSIDE_GROWTH_BYTES);
  expect(heapBytesPerCycle).toBeLessThan(MAX_HEAP_GROWTH_BYTES_PER_CYCLE);
}

/** The answer of `/stream/find_all`: 404 when there is none. */
function findStreams(): Promise<Response> {
  return fetch(`${app.restUrl}/rest-api/stream/find_all`, { method: 'POST' });
}

test('a hundred times of publishing and stopping leave no socket, timer, process or memory behind', async () => {
  await expectNothingLeftBy(publishOnce, PUBLISH_CYCLES);
  expect((await findStreams()).status).toBe(404);
  const { held } = await app.measure();
  expect(held).toMatchObject({ PublisherSession: 0, PeerSession: 0, DtlsSession: 0, LiveStream: 0 });
});

test('playing and stopping a live stream again and again leaves no socket, timer, process or memory behind', async () => {
  const publisher = await publishing.publish({ name: 'cycle' });
  await expectNothingLeftBy(playOnce, PLAY_CYCLES);
  expect(await (await findStreams()).json()).toHaveLength(1);
  expect((await app.measure()).held).toMatchObject({
    PublisherSession: 1,
    PlayerSession: 0,
    PeerSession: 1,
    DtlsSession: 1,
  });
  await publisher.act('stop');
  await publisher.waitFor('UNPUBLISHED');
});
