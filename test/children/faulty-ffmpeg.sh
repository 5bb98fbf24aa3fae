#!/bin/sh
# ffmpeg; but a push whose flash version is "fault NAME" does the wrong thing of that name.
fault=none
for argument; do
  case $argument in 'fault '*) fault=${argument#fault } ;; esac
done
case $fault in
  none) exec ffmpeg "$@" ;;
  # Publishes until SIGUSR1, then ends with that code and without a goodbye.
  exit-*)
    ffmpeg "$@" &
    child=$!
    trap 'kill -KILL $child; exit ${fault#exit-}' USR1
    wait $child
    ;;
  # Neither reads nor publishes, and no signal that can be ignored ends it.
  never-ready)
    trap '' TERM INT HUP
    exec sleep 600
    ;;
  # Publishes, but lives on when its input ends, and no signal that can be ignored ends it.
  ignore-everything)
    trap '' TERM INT HUP
    ffmpeg "$@"
    exec sleep 600
    ;;
  # Publishes, and complains as fast as it can for a hundred megabytes.
  flood-stderr)
    yes 'the same complaint again and again' | head -c 100000000 >&2 &
    exec ffmpeg "$@"
    ;;
  # Publishes, and keeps a core busy beside it.
  busy)
    ffmpeg "$@" &
    while :; do :; done
    ;;
  # Publishes, and holds some 200 MB.
  hungry)
    held=$(head -c 200000000 /dev/zero | tr '\0' x)
    ffmpeg "$@" &
    wait $!
    : "$held"
    ;;
  *)
    echo "no fault is called $fault" >&2
    exit 64
    ;;
esac
