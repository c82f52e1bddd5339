//! Where a session's stream comes from: an RTSP camera or a file.

use gst::prelude::*;
use gstreamer as gst;

use super::session::Session;
use super::{GstError, codec, element};
use crate::data::StateReason;
use crate::ingest::{Source, Transport};

impl Session {
    pub(super) fn rtsp_source(&self) -> Result<(), GstError> {
        let Source::Rtsp {
            url,
            username,
            password,
            transport,
            ca,
        } = &self.shared.options.source
        else {
            return Err(GstError::Setup("not an RTSP camera".into()));
        };
        let source = element("rtspsrc")?;
        source.set_property("location", url);
        source.set_property_from_str(
            "protocols",
            match transport {
                Transport::Tcp => "tcp",
                Transport::Udp => "udp",
            },
        );
        source.set_property("latency", 200u32);
        source.set_property("add-reference-timestamp-meta", true);
        // A buffer's time is what RTP says, from the first one's arrival on. GStreamer's own way of following the camera's clock takes what
        // a network holds back for a second and then delivers at once for another time base: stream_clock.rs does it instead.
        source.set_property_from_str("buffer-mode", "synced");
        // GStreamer would shift the picture too, and by reports of cameras without a clock (NTP 0, RFC 3550 section 6.4.1): it leaves
        // alone what is farther apart than this, and the camera's own clock (stream_clock.rs) moves the sound.
        source.set_property("max-ts-offset", 1i64);
        source.set_property("tcp-timeout", 8_000_000u64);
        source.set_property("timeout", 8_000_000u64);
        // Secrets are properties, never text of a pipeline.
        if let Some(user) = username {
            source.set_property("user-id", user);
        }
        if let Some(password) = password {
            source.set_property("user-pw", password.expose());
        }
        if let Some(ca) = ca {
            let database =
                gio::TlsFileDatabase::new(ca).map_err(|e| GstError::Setup(format!("ca {}: {e}", ca.display())))?;
            source.set_property("tls-database", &database);
        }
        let shared = self.shared.clone();
        // Asked only when the certificate did not pass: it stays refused, and the reason is known.
        source.connect("accept-certificate", false, move |values| {
            let wrong = values.get(3).and_then(|v| v.get::<gio::TlsCertificateFlags>().ok());
            let _ = shared.distrust.set(distrust(wrong));
            Some(false.to_value())
        });
        let shared = self.shared.clone();
        source.connect("select-stream", false, move |values| {
            let wanted = values
                .get(2)
                .and_then(|v| v.get::<gst::Caps>().ok())
                .is_some_and(|caps| shared.select(&caps));
            Some(wanted.to_value())
        });
        let (shared, pipeline) = (self.shared.clone(), self.pipeline.downgrade());
        source.connect_pad_added(move |_, pad| {
            let (Some(pipeline), Some(caps)) = (pipeline.upgrade(), pad.current_caps()) else {
                return;
            };
            if let Err(error) = shared.connect(&pipeline, pad, codec::media(&caps)) {
                shared.fail(StateReason::UnsupportedCodec, error.to_string());
            }
        });
        let shared = self.shared.clone();
        source.connect_no_more_pads(move |_| shared.complete());
        self.pipeline.add(&source).map_err(|e| GstError::Setup(e.to_string()))
    }

    /// A file in real time, through GStreamer's own choice of demuxer and decoder.
    pub(super) fn file_source(&self, path: &str) -> Result<(), GstError> {
        let setup = |e: gst::glib::BoolError| GstError::Setup(e.to_string());
        let (source, decode) = (element("filesrc")?, element("decodebin")?);
        source.set_property("location", path);
        let (shared, pipeline) = (self.shared.clone(), self.pipeline.downgrade());
        decode.connect_pad_added(move |decode, pad| {
            let Some(pipeline) = pipeline.upgrade() else { return };
            let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
            if let Err(error) = shared.connect_raw(&pipeline, decode, pad, &caps) {
                shared.fail(StateReason::UnsupportedCodec, error.to_string());
            }
        });
        let shared = self.shared.clone();
        decode.connect_no_more_pads(move |_| shared.complete());
        self.pipeline.add_many([&source, &decode]).map_err(setup)?;
        source.link(&decode).map_err(setup)
    }
}

/// What is wrong with a certificate, in words.
fn distrust(flags: Option<gio::TlsCertificateFlags>) -> String {
    use gio::TlsCertificateFlags as Flags;
    let known = [
        (Flags::UNKNOWN_CA, "its issuer is not known"),
        (Flags::BAD_IDENTITY, "it is for another host name"),
        (Flags::NOT_ACTIVATED, "it is not valid yet"),
        (Flags::EXPIRED, "it has expired"),
        (Flags::REVOKED, "it was revoked"),
        (Flags::INSECURE, "it is insecure"),
    ];
    let wrong: Vec<&str> = known
        .iter()
        .filter(|(flag, _)| flags.is_some_and(|f| f.contains(*flag)))
        .map(|(_, words)| *words)
        .collect();
    format!("the camera's certificate is not trusted: {}", wrong.join(", "))
}
