"""A real RTSP server, GStreamer's, which plays a recording over and over as a camera would.

It runs with the system's python3, which has the bindings (see `rtsp`), and imports nothing of ours:
rtsp_camera.py PORT WAV [basic|digest USER PASSWORD]
"""

import sys
import wave

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

BLOCK_SECONDS = 0.02

SOUND = "appsrc name=sound is-live=true format=time max-time=100000000 ! audioconvert ! audioresample"
PICTURES = (
    "videotestsrc is-live=true ! video/x-raw,format=I420,width=320,height=240,framerate=10/1 ! jpegenc "
    "! rtpjpegpay name=pay0 pt=97"
)
MOUNTS = {
    "/aac": f"{SOUND} ! avenc_aac ! rtpmp4gpay name=pay0 pt=96",
    "/opus": f"{SOUND} ! opusenc ! rtpopuspay name=pay0 pt=96",
    "/pcma": f"{SOUND} ! audio/x-raw,rate=8000,channels=1 ! alawenc ! rtppcmapay name=pay0",
    "/film": f"{PICTURES} {SOUND} ! avenc_aac ! rtpmp4gpay name=pay1 pt=96",
    "/mute": PICTURES,
}


class Recording:
    """16-bit samples of a WAV file; after its end it begins again."""

    def __init__(self, path):
        with wave.open(path) as file:
            self._rate, channels = file.getframerate(), file.getnchannels()
            self._width = 2 * channels
            self._samples = file.readframes(file.getnframes())
        self._size = round(self._rate * BLOCK_SECONDS) * self._width
        self._caps = Gst.Caps.from_string(
            f"audio/x-raw,format=S16LE,layout=interleaved,rate={self._rate},channels={channels}"
        )

    def feed(self, source):
        """Give an `appsrc` as much as it asks for; its pipeline asks as fast as time goes."""
        given = 0

        def need_data(source, _length):
            nonlocal given
            place = given % len(self._samples)
            head = self._samples[place : place + self._size]
            buffer = Gst.Buffer.new_wrapped(head + self._samples[: self._size - len(head)])
            buffer.pts = given * Gst.SECOND // (self._width * self._rate)
            buffer.duration = self._size * Gst.SECOND // (self._width * self._rate)
            given += self._size
            source.emit("push-buffer", buffer)

        source.set_property("caps", self._caps)
        source.connect("need-data", need_data)


def factory(pipeline, recording):
    """Make what plays a pipeline to everyone who asks for it."""

    def configure(_factory, media):
        source = media.get_element().get_by_name_recurse_up("sound")
        if source is not None:
            recording.feed(source)

    made = GstRtspServer.RTSPMediaFactory()
    made.set_launch(f"( {pipeline} )")
    made.set_shared(True)
    made.connect("media-configure", configure)
    made.add_role_from_structure(
        Gst.Structure.from_string("user,media.factory.access=true,media.factory.construct=true")[0]
    )
    return made


def login(method, user, password):
    """Make what lets in nobody else."""
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    auth = GstRtspServer.RTSPAuth()
    if method == "digest":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(user, password, token)
    else:
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    return auth


def main():
    """Serve until it is killed."""
    port, path, *who = sys.argv[1:]
    Gst.init(None)
    server = GstRtspServer.RTSPServer(address="127.0.0.1", service=port)
    if who:
        server.set_auth(login(*who))
    recording = Recording(path)
    for mount, pipeline in MOUNTS.items():
        server.get_mount_points().add_factory(mount, factory(pipeline, recording))
    server.attach(None)
    GLib.MainLoop().run()


main()
