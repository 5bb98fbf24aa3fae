FROM node:24-bookworm-slim

RUN apt-get update \
 && apt-get install -y --no-install-recommends ffmpeg tini util-linux \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /app
COPY package.json package-lock.json ./
# The second is for a registry mirror without the packages of other platforms: the same versions, without that check.
RUN npm ci --omit=dev --no-audit --no-fund || npm install --no-save --omit=dev --no-audit --no-fund
COPY conf ./conf
COPY pipelines ./pipelines
COPY src ./src
COPY LICENSE README.md ./

RUN useradd --system --home-dir /var/lib/transponder --shell /usr/sbin/nologin transponder \
 && install -d -o transponder -g transponder -m 0750 \
      /var/lib/transponder /var/lib/transponder/data /var/lib/transponder/media /var/lib/transponder/records

ENV NODE_ENV=production \
    PATH=/app/node_modules/.bin:$PATH \
    TRANSPONDER_DATA_DIR=/var/lib/transponder/data \
    TRANSPONDER_MEDIA_DIR=/var/lib/transponder/media \
    TRANSPONDER_RECORDS_DIR=/var/lib/transponder/records
USER transponder
VOLUME /var/lib/transponder

# Signalling, REST, RTMP, and the first media port. With `--network host` nothing needs to be published.
EXPOSE 8080 8443 8081 8444 1935 31001/udp 31001/tcp

# The port is the configured one; a server whose REST is elsewhere than on loopback is checked there by its operator.
HEALTHCHECK --interval=15s --timeout=3s --start-period=20s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.TRANSPONDER_HTTP_PORT ?? 8081}/health/ready`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]

# tini reaps what a killed process leaves, and hands the signals on.
ENTRYPOINT ["tini", "--", "node", "src/main.ts"]
