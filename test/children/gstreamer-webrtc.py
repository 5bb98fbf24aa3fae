"""A GStreamer client of WHIP and WHEP: webrtcbin and libnice, with nothing between them and HTTP.

    gstreamer-webrtc.py publish URL [TOKEN]
    gstreamer-webrtc.py play URL [TOKEN]

Says one JSON object a line: {"answered": status, "location": ...}, {"connected": true}, and while it plays once a second
{"pictures": n, "width": w, "height": h, "sounds": n}. Publishes and plays until its standard input ends; then it sends DELETE and
says {"deleted": status}.
"""

import json
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

PUBLISHER = """
webrtcbin name=peer bundle-policy=max-bundle
videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=25/1
  ! x264enc tune=zerolatency speed-preset=ultrafast bitrate=500 key-int-max=50 ! video/x-h264,profile=constrained-baseline
  ! rtph264pay config-interval=-1 aggregate-mode=zero-latency ! application/x-rtp,media=video,encoding-name=H264,payload=96 ! peer.
audiotestsrc is-live=true freq=440 ! audioconvert ! audioresample ! opusenc ! rtpopuspay
  ! application/x-rtp,media=audio,encoding-name=OPUS,payload=97 ! peer.
"""
PLAYED_CAPS = (
    "application/x-rtp,media=video,encoding-name=H264,payload=96,clock-rate=90000",
    "application/x-rtp,media=audio,encoding-name=OPUS,payload=97,clock-rate=48000,encoding-params=(string)2",
)
DECODERS = {
    "video": "queue ! rtph264depay ! h264parse ! avdec_h264 ! fakesink name=sink sync=false signal-handoffs=true",
    "audio": "queue ! rtpopusdepay ! opusdec ! fakesink name=sink sync=false signal-handoffs=true",
}


def say(**fields):
    print(json.dumps(fields), flush=True)


def ask(method, url, token, body=None):
    headers = {"Content-Type": "application/sdp"} if body else {}
    if token:
        headers["Authorization"] = "Bearer " + token
    request = urllib.request.Request(url, body and body.encode(), headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers.get("Location"), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, None, ""


class Client:
    def __init__(self, action, url, token=None):
        self.url, self.token, self.session = url, token, None
        self.loop = GLib.MainLoop()
        self.seen = {"pictures": 0, "width": 0, "height": 0, "sounds": 0}
        if action == "publish":
            self.pipe = Gst.parse_launch(PUBLISHER)
            self.peer = self.pipe.get_by_name("peer")
        else:
            self.pipe = Gst.Pipeline()
            self.peer = Gst.parse_launch("webrtcbin bundle-policy=max-bundle")
            self.pipe.add(self.peer)
            direction = GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY
            for caps in PLAYED_CAPS:
                self.peer.emit("add-transceiver", direction, Gst.Caps.from_string(caps))
            self.peer.connect("pad-added", self.on_pad)
            GLib.timeout_add(1000, self.report)
        self.peer.connect("on-negotiation-needed", self.on_negotiation_needed)
        self.peer.connect("notify::connection-state", self.on_state)
        bus = self.pipe.get_bus()
        bus.add_signal_watch()
        bus.connect("message::error", self.on_error)

    def run(self):
        self.pipe.set_state(Gst.State.PLAYING)
        threading.Thread(target=self.wait_for_end, daemon=True).start()
        self.loop.run()
        if self.session:
            say(deleted=ask("DELETE", self.session, self.token)[0])
        self.pipe.set_state(Gst.State.NULL)

    def wait_for_end(self):
        sys.stdin.read()
        self.loop.quit()

    def on_negotiation_needed(self, peer):
        peer.emit("create-offer", None, Gst.Promise.new_with_change_func(self.on_offer, None))

    def on_offer(self, promise, _):
        # The offer is a part of the reply, and gone with it.
        reply = promise.get_reply()
        offer = reply.get_value("offer")
        self.peer.emit("set-local-description", offer, None)
        # A server with ICE lite needs none of our candidates.
        status, location, answer = ask("POST", self.url, self.token, offer.sdp.as_text())
        say(answered=status, location=location)
        if status != 201:
            return GLib.idle_add(self.loop.quit)
        self.session = urllib.parse.urljoin(self.url, location)
        _, sdp = GstSdp.SDPMessage.new_from_text(answer)
        description = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, sdp)
        self.peer.emit("set-remote-description", description, None)

    def on_state(self, peer, _):
        state = peer.get_property("connection-state")
        if state == GstWebRTC.WebRTCPeerConnectionState.CONNECTED:
            say(connected=True)

    def on_pad(self, _, pad):
        if pad.direction != Gst.PadDirection.SRC:
            return
        kind = pad.get_current_caps().get_structure(0).get_string("media")
        branch = Gst.parse_bin_from_description(DECODERS[kind], True)
        branch.get_by_name("sink").connect("handoff", self.on_picture if kind == "video" else self.on_sound)
        self.pipe.add(branch)
        branch.sync_state_with_parent()
        pad.link(branch.get_static_pad("sink"))

    def on_picture(self, _, __, pad):
        size = pad.get_current_caps().get_structure(0)
        self.seen["pictures"] += 1
        self.seen["width"], self.seen["height"] = size.get_int("width")[1], size.get_int("height")[1]

    def on_sound(self, *_):
        self.seen["sounds"] += 1

    def report(self):
        say(**self.seen)
        return True

    def on_error(self, _, message):
        say(error=str(message.parse_error()))
        self.loop.quit()


Gst.init(None)
Client(*sys.argv[1:]).run()
