#!/bin/sh
# Takes what it is given as a push's ffmpeg would, and publishes nothing.
exec cat <&3 >/dev/null
