/* Runs in a page with the official SDK: publishes a canvas and an oscillator whose content a test can measure. */
(() => {
  const FRAME_PERIOD_MS = 33;
  const BEEP_HZ = 1000;
  const BEEP_SECONDS = 0.1;
  const SCHEDULED_SECONDS = 180;

  const noLateness = () => ({ paintMs: 0, flashMs: 0, missedFlashes: 0 });
  const media = { warnings: [], late: noLateness() };
  const published = new Map();

  /**
   * Black with a moving bar, white during the first 100 ms of every second, and a beep at the same instants; or, with a
   * lasting tone, no flashes, because at each of them the browser's encoder makes a keyframe of its own accord.
   */
  function createMedia({ width, height, toneHz }) {
    const context = new AudioContext({ sampleRate: 48000 });
    const canvas = document.createElement('canvas');
    const paint = canvas.getContext('2d');
    media.canvas = canvas;
    canvas.width = width;
    canvas.height = height;
    const startSeconds = Math.ceil(context.currentTime) + 1;
    let paintedMs = performance.now();
    let flashedBeat = -1;
    setInterval(() => {
      const second = context.currentTime - startSeconds;
      const isWhite = !toneHz && second >= 0 && second % 1 < BEEP_SECONDS;
      const { late } = media;
      const nowMs = performance.now();
      late.paintMs = Math.max(late.paintMs, nowMs - paintedMs - FRAME_PERIOD_MS);
      paintedMs = nowMs;
      const beat = Math.floor(second);
      if (isWhite && beat !== flashedBeat) {
        late.flashMs = Math.max(late.flashMs, (second % 1) * 1000 - FRAME_PERIOD_MS);
        late.missedFlashes += beat - flashedBeat - 1;
        flashedBeat = beat;
      }
      paint.fillStyle = isWhite ? '#fff' : '#000';
      paint.fillRect(0, 0, canvas.width, canvas.height);
      paint.fillStyle = '#444';
      paint.fillRect((performance.now() / 10) % canvas.width, 0, 8, canvas.height / 8);
    }, FRAME_PERIOD_MS);

    const oscillator = new OscillatorNode(context, { frequency: toneHz ?? BEEP_HZ });
    const gain = new GainNode(context, { gain: toneHz ? 0.5 : 0 });
    const beats = toneHz ? 0 : SCHEDULED_SECONDS;
    for (let beat = 0; beat < beats; beat++) {
      gain.gain.setValueAtTime(0.5, startSeconds + beat);
      gain.gain.setValueAtTime(0, startSeconds + beat + BEEP_SECONDS);
    }
    const speaker = new MediaStreamAudioDestinationNode(context);
    oscillator.connect(gain).connect(speaker);
    oscillator.start();
    media.context = context;
    media.stream = new MediaStream([...canvas.captureStream(30).getTracks(), ...speaker.stream.getTracks()]);
  }

  /** A held picture is a track that never had a frame: one of a canvas would have captured its first without being asked. */
  function customStream({ video = true, audio = true, isPictureHeld = false }) {
    const tracks = media.stream.getTracks().filter(({ kind }) => (kind === 'video' ? video && !isPictureHeld : audio));
    const held = isPictureHeld ? [new MediaStreamTrackGenerator({ kind: 'video' })] : [];
    return new MediaStream([...tracks.map((track) => track.clone()), ...held]);
  }

  function connect(urlServer) {
    media.session ??= new Promise((resolve, reject) => {
      Flashphoner.createSession({ urlServer })
        .on('ESTABLISHED', resolve)
        .on('WARN', ({ id, info }) => media.warnings.push({ id, info }))
        .on('FAILED', () => reject(new Error('no session')));
    });
    return media.session;
  }

  globalThis.publisherPage = {
    /** Resolves with PUBLISHING, or rejects with the info of the failure. */
    async publish(options) {
      if (!media.stream) createMedia(options);
      await media.context.resume();
      const session = await connect(options.wsUrl);
      const display = document.body.appendChild(document.createElement('div'));
      const statuses = [];
      const custom = customStream(options);
      await new Promise((resolve, reject) => {
        const stream = session.createStream({
          name: options.name,
          display,
          cacheLocalResources: true,
          receiveVideo: false,
          receiveAudio: false,
          constraints: { audio: false, video: false, customStream: custom },
          stripCodecs: options.stripCodecs ?? '',
          rtmpUrl: options.rtmpUrl,
        });
        published.set(options.name, { stream, statuses, custom });
        const seen = () => statuses.push({ status: stream.status(), info: stream.getInfo() ?? '' });
        stream.on('FAILED', () => seen() && reject(new Error(stream.getInfo())));
        stream.on('PUBLISHING', () => seen() && resolve());
        stream.publish();
      });
    },
    /** Resolves when the server has confirmed it. */
    async unpublish(name) {
      const { stream, painting } = published.get(name);
      published.delete(name);
      clearInterval(painting);
      await new Promise((resolve) => {
        stream.on('UNPUBLISHED', resolve).on('FAILED', resolve);
        stream.stop();
      });
    },
    resize(width, height) {
      media.canvas.width = width;
      media.canvas.height = height;
    },
    showPicture(name) {
      const entry = published.get(name);
      const [track] = entry.custom.getVideoTracks();
      const writer = track.writable.getWriter();
      entry.painting = setInterval(() => {
        const frame = new VideoFrame(media.canvas, { timestamp: performance.now() * 1000 });
        writer.write(frame).catch(() => frame.close());
      }, FRAME_PERIOD_MS);
    },
    takeLateness() {
      const { late } = media;
      media.late = noLateness();
      return late;
    },
    /** What the SDK has told of the stream so far. */
    statuses: (name) => published.get(name).statuses,
    /** What the session was warned of, about that stream. */
    warnings(name) {
      const streamId = published.get(name).stream.id();
      return media.warnings.filter(({ id }) => id === streamId).map(({ info }) => info);
    },
  };
})();
