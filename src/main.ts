import { createApp, type App } from './app.ts';
import { loadConfig } from './config/load.ts';
import { AppError } from './domain/errors.ts';
import { createLogger } from './observability/logger.ts';

/** A close that hangs must not keep the machine from restarting us. */
const CLOSE_TIMEOUT_MS = 4500;

async function main(): Promise<void> {
  const { config, withoutEffect } = loadConfig(process.argv.slice(2), process.env);
  const logger = createLogger(config.log_level);
  if (withoutEffect.length > 0) logger.warn({ keys: withoutEffect }, 'keys of WCS that have no effect here');

  let app: App | undefined;
  let stopping = false;
  const stop = (signal: string): void => {
    // Before the app is built there is nothing to close but what the exit closes.
    if (!app) process.exit(0);
    if (stopping) return;
    stopping = true;
    logger.info({ signal }, 'stopping');
    setTimeout(() => {
      logger.error({ signal, timeoutMs: CLOSE_TIMEOUT_MS }, 'not closed in time; children end with this process');
      process.exit(1);
    }, CLOSE_TIMEOUT_MS).unref();
    void app.close(signal).then(() => {
      logger.info({ signal }, 'stopped');
      process.exit(0);
    });
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);

  app = await createApp(config, logger);
  const { ports } = app;
  process.stdout.write(`${JSON.stringify({ state: 'ready', ports })}\n`);
  process.stderr.write(
    [
      `WebSocket  ws://localhost:${ports['ws.port']}  wss://localhost:${ports['wss.port']}`,
      `REST       http://localhost:${ports['http.port']}/rest-api  https://localhost:${ports['https.port']}/rest-api`,
      `Health     http://localhost:${ports['http.port']}/health/ready`,
      ...(ports['rtmp.port'] === undefined ? [] : [`RTMP       rtmp://localhost:${ports['rtmp.port']}/live`]),
      `WebRTC     UDP and TCP port ${ports['media']}`,
      '',
    ].join('\n'),
  );
}

try {
  await main();
} catch (error) {
  if (!(error instanceof AppError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}
