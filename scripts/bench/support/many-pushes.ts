const STARTUPS_AT_ONCE = 20;

/** Has a server take `count` pushes that wait for a stream which nobody publishes. Rejects when one is refused. */
export async function startManyPushes(httpPort: number, count: number): Promise<void> {
  let next = 0;
  const startSome = async (): Promise<void> => {
    while (next < count) {
      const rtmpUrl = `rtmp://127.0.0.1:1/live/row${next++}`;
      const response = await fetch(`http://127.0.0.1:${httpPort}/rest-api/push/startup`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ streamName: 'later', rtmpUrl, waitForStream: true }),
      });
      const text = await response.text();
      if (response.status !== 200) throw new Error(`startup: ${response.status} ${text}`);
    }
  };
  await Promise.all(Array.from({ length: STARTUPS_AT_ONCE }, startSome));
}
